"""Tiny data sets in the folder layouts that the reference's YAMLs read, and their overrides."""

import json

import numpy as np
from PIL import Image

FACE_SETS = ("agedb_30", "cfp_fp", "lfw", "cplfw", "calfw")
# sizes that occur in transforms, to sizes a test can afford
SMALL = {224: 64, 227: 64, 256: 72, 128: 32}


def picture(path, label, number, size=(80, 72)):
    """A coloured picture, alike within a label."""
    rng = np.random.default_rng(label)
    noise = np.random.default_rng(1000 * label + number).integers(-30, 30, (5, 4, 3))
    pixels = np.clip(rng.integers(0, 256, (5, 4, 3)) + noise, 0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).resize(size).save(path, quality=90)


def listed(root, file, line, *, labels, per_label, size=(80, 72)):
    """Write pictures and their list; ``line`` makes a line of a path, a label and a number."""
    rows = []
    for label in labels:
        for number in range(per_label):
            name = f"{label:03d}/{number}.jpg"
            picture(root / name, label, number, size)
            rows.append(line(name, label, len(rows)))
    file.write_text("".join(f"{row}\n" for row in rows))


LINES = {
    "ImageNetDataset": lambda name, label, number: f"{name} {label}",
    "VeriWild": lambda name, label, number: f"{name} {label} {number}",
    "ICartoonDataset": lambda name, label, number: f"{name}\t{label}",
    "AdaFaceDataset": lambda name, label, number: f"{name} {label}",
}


def lists(root, name, split, labels):
    images, file = root / "images", root / f"{split}.txt"
    size = (112, 112) if name == "AdaFaceDataset" else (80, 72)  # faces come aligned
    listed(images, file, LINES[name], labels=labels, per_label=4, size=size)
    if name == "AdaFaceDataset":
        return {"root_dir": images, "label_path": file}
    return {"image_root": images, "cls_label_path": file}


def comp_cars(root, name, split, labels):
    images, boxes, file = root / "image", root / "label", root / f"{split}.txt"
    listed(images, file, LINES["ImageNetDataset"], labels=labels, per_label=4)
    for label in labels:
        for number in range(4):
            box = boxes / f"{label:03d}" / f"{number}.txt"
            box.parent.mkdir(parents=True, exist_ok=True)
            box.write_text("-1\n1\n5 5 70 60\n")
    return {"image_root": images, "cls_label_path": file, "label_root": boxes}


def market(root, name, split, labels):
    folder = {"Train": "bounding_box_train", "Query": "query"}.get(split, "bounding_box_test")
    for label in labels:
        for camera in (1, 2):
            for number in range(2):
                file = f"{label + 1:04d}_c{camera}s1_{number:06d}_00.jpg"
                path = root / "market1501" / "Market-1501-v15.09.15" / folder / file
                picture(path, label, 10 * camera + number, size=(32, 64))
    return {"image_root": root}


def face_pairs(root, name, split, labels, side=112):
    for number, part in enumerate(FACE_SETS):
        folder = root / part / "memfile"
        folder.mkdir(parents=True)
        faces = np.random.default_rng(number).normal(size=(20, 3, side, side)).astype(np.float32)
        faces.tofile(folder / "mem_file.dat")
        conf = {"shape": list(faces.shape), "dtype": "float32"}
        (folder / "mem_file.dat.conf").write_text(json.dumps(conf))
        np.save(root / f"{part}_list.npy", np.arange(10) % 2 == 0)
    return {"val_data_path": root}


WRITERS = {
    "CompCars": comp_cars,
    "Market1501": market,
    "DukeMTMC": market,
    "FiveValidationDataset": face_pairs,
}


def splits(loaders):
    """Return (path in the YAML, split name, section) of every data set."""
    found = []
    for key, section in loaders.items():
        if "dataset" in section:
            found.append((f"DataLoader.{key}", key, section))
        else:
            found += [(f"DataLoader.{key}.{n}", n, s) for n, s in section.items()]
    return found


def overrides(config, folder):
    """Write the data that a YAML reads; return its -o for paths, sizes, epochs and device."""
    texts = {
        "Global.output_dir": folder / "output",
        "Global.save_inference_dir": folder / "inference",
        "Global.device": "cpu",
        "Global.epochs": 1,
        "Global.eval_interval": 2,
        "Global.save_interval": 1,
        "Global.iter_per_epoch": 2,
        "Global.print_batch_step": 1,
        "Global.pretrained_model": "null",
        "Global.image_shape": _shape(config["Global"]["image_shape"]),
    }
    for at, split, section in splits(config["DataLoader"]):
        labels = range(1, 9) if split in ("Train", "Eval") else range(9, 13)
        name = section["dataset"]["name"]
        root = folder / ("train" if split in ("Train", "Eval") else "test")
        write = WRITERS.get(name, lists)
        if not (root / f"{split}.done").exists():
            root.mkdir(exist_ok=True)
            paths = write(root, name, split, labels)
            (root / f"{split}.done").touch()
        texts |= {f"{at}.dataset.{key}": value for key, value in paths.items()}
        texts[f"{at}.sampler.batch_size"] = 8
        texts[f"{at}.loader.num_workers"] = 0
        for key in ("transform_ops", "transform"):
            texts |= _sizes(f"{at}.dataset.{key}", section["dataset"].get(key) or [])
    for at, arch in _models(config["Arch"]):
        if "pretrained" in arch["Backbone"]:
            texts[f"{at}.Backbone.pretrained"] = False
        if "Head" in arch:
            texts[f"{at}.Head.class_num"] = 16
    for index, loss in enumerate(config["Loss"]["Train"]):
        if "CenterLoss" in loss:
            texts[f"Loss.Train.{index}.CenterLoss.num_classes"] = 16
    return [f"{key}={value}" for key, value in texts.items()]


def _models(arch):
    found = [("Arch", arch)] if "Backbone" in arch else []
    for index, one in enumerate(arch.get("models") or []):
        found += [(f"Arch.models.{index}.{name}", member) for name, member in one.items()]
    return found


def _shape(shape):
    if shape[1:] == [112, 112]:
        return shape
    return [shape[0], *(SMALL.get(side, side) for side in shape[1:])]


def _sizes(at, ops):
    texts = {}
    for index, op in enumerate(ops):
        ((name, args),) = op.items()
        for key in ("size", "resize_short", "img_size"):
            value = (args or {}).get(key)
            if isinstance(value, list):
                texts[f"{at}.{index}.{name}.{key}"] = [SMALL.get(side, side) for side in value]
            elif value in SMALL:
                texts[f"{at}.{index}.{name}.{key}"] = SMALL[value]
    return texts
