"""The doctor finds exactly what was planted, and its copies agree with brute force."""

import csv
import os
import shutil
import signal
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from planted_faults import picture, plant

from lookalike.data.datasets import label_file, table, veri_wild
from lookalike.data.doctor import (
    KINDS,
    AllRows,
    ListedSplit,
    Trait,
    diagnose,
    examine,
    examine_files,
    write_csv,
    write_page,
)
from lookalike.data.doctor.fingerprint import fingerprint
from lookalike.data.doctor.near_pairs import MAX_BITS, near_pairs
from lookalike.data.doctor.processes import over_files
from lookalike.data.doctor.similar_images import MAX_COLOUR
from lookalike.data.doctor.statistics import gini
from lookalike.data.image_files import listed_only
from lookalike.errors import DataError

ROLES = {"Train": "train", "Query": "query", "Gallery": "gallery"}


def read_splits(root, names=("Train", "Query", "Gallery")):
    with listed_only():
        return [
            ListedSplit.of(
                name,
                ROLES[name],
                veri_wild(str(root / "images"), str(root / f"{name.lower()}.txt")),
            )
            for name in names
        ]


def examined(splits, workers=0, **options):
    rows = AllRows(splits)
    return diagnose(rows, examine_files(rows.files, workers=workers), **options)


def found(diagnosis):
    return sorted((one.kind, one.split, one.path) for one in diagnosis.findings)


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    root = tmp_path_factory.mktemp("planted")
    return root, plant(root)


@pytest.fixture(scope="module")
def diagnosis(planted):
    root, _ = planted
    return examined(read_splits(root), num_classes=12, input_size=(32, 32))


def test_exactly_what_was_planted_is_found(planted, diagnosis):
    _, expected = planted
    assert found(diagnosis) == sorted(expected)


def test_every_kind_but_those_of_a_whole_run_is_planted(planted):
    _, expected = planted
    assert {kind for kind, _, _ in expected} == set(KINDS) - {
        "list",
        "sampler",
        "sampler_weak",
        "no_answer",
        "same_images",
    }


def test_processes_find_the_same(planted, diagnosis):
    root, _ = planted
    other = examined(read_splits(root), workers=2, num_classes=12, input_size=(32, 32))
    assert other.findings == diagnosis.findings


def test_findings_name_line_and_partner(diagnosis):
    one = next(one for one in diagnosis.findings if one.path == "two_minds.jpg")
    assert (one.line, one.other) == (50, "good/2_1.jpg")
    assert "Train line 10" in one.detail
    assert one.source.endswith("train.txt")


def test_the_page_holds_every_finding_and_needs_nothing_else(tmp_path, diagnosis):
    write_page(diagnosis, tmp_path / "report.html", title="<run> & co", table="findings.csv")
    text = (tmp_path / "report.html").read_text()
    for one in diagnosis.findings:
        assert KINDS[one.kind].title in text
        assert f"<code>{one.path}</code>" in text or not one.path
        assert f":{one.line}<" in text or not one.line
    assert "&lt;run&gt; &amp; co" in text
    assert 'name="viewport"' in text
    assert text.count("data:image/jpeg;base64,") > 20
    assert "http" not in text and "src=" in text and 'src="data:' in text


def test_a_strangers_name_is_text_on_the_page(tmp_path):
    (tmp_path / "images").mkdir()
    name = "<script>alert(1)</script>.jpg"
    (tmp_path / "list.txt").write_text(f"{name} 0\n")
    with listed_only():
        dataset = veri_wild(str(tmp_path / "images"), str(tmp_path / "list.txt"))
    diagnosis = examined([ListedSplit.of("Train", "train", dataset)])
    write_page(diagnosis, tmp_path / "report.html", title="x", table="x")
    assert "<script" not in (tmp_path / "report.html").read_text()


def test_a_page_of_many_findings_says_how_many_are_left(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "train.txt").write_text("".join(f"{i}.jpg 0\n" for i in range(400)))
    diagnosis = examined(read_splits(tmp_path, ["Train"]))
    write_page(diagnosis, tmp_path / "report.html", title="x", table="findings.csv")
    text = (tmp_path / "report.html").read_text()
    assert "... and 100 more in findings.csv" in text
    assert text.count("<code>") == 300


def test_the_table_has_a_row_per_finding(tmp_path, diagnosis):
    write_csv(diagnosis.findings, tmp_path / "deep" / "findings.csv")
    with open(tmp_path / "deep" / "findings.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["kind"], row["split"], row["path"]) for row in rows] == [
        (one.kind, one.split, one.path) for one in diagnosis.findings
    ]
    assert set(rows[0]) == {
        "severity", "kind", "split", "path", "list", "line", "detail", "other"
    }  # fmt: skip


# hashes and pairs


@given(st.lists(st.integers(0, 2**64 - 1), max_size=30), st.integers(0, 7), st.integers(1, 50))
@settings(max_examples=60, deadline=None)
def test_near_pairs_agree_with_brute_force(start, max_bits, at_once):
    rng = np.random.default_rng(len(start))
    # relatives at every distance up to ten bits
    hashes = [*start]
    for one in start:
        flips = rng.choice(64, size=int(rng.integers(0, 11)), replace=False)
        hashes.append(one ^ int(sum(1 << int(bit) for bit in flips)))
    column = np.array(hashes, dtype=np.uint64)
    pairs = {}
    for one, other, bits in near_pairs(column, max_bits=max_bits, at_once=at_once):
        pairs |= dict(
            zip(zip(one.tolist(), other.tolist(), strict=True), bits.tolist(), strict=True)
        )
    expected = {
        (i, j): (hashes[i] ^ hashes[j]).bit_count()
        for j in range(len(hashes))
        for i in range(j)
        if (hashes[i] ^ hashes[j]).bit_count() <= max_bits
    }
    assert pairs == expected


def test_near_pairs_keep_their_blocks_small():
    hashes = np.random.default_rng(0).integers(0, 2**64, 3000, dtype=np.uint64)
    hashes[::3] &= np.uint64(0xFFFFFFFF)  # crowded bands
    largest = max(len(one) for one, _, _ in near_pairs(hashes, at_once=5000))
    assert largest <= 5000


def test_near_pairs_refuses_what_its_bands_cannot_promise():
    with pytest.raises(ValueError, match="between 0 and 7, got 8"):
        next(near_pairs(np.zeros(2, np.uint64), max_bits=8))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("resaved", {"quality": 75}),
        ("half", {"size": (128, 96), "quality": 85}),
        ("larger", {"size": (400, 300), "quality": 90}),
        ("webp", {"format": "WEBP", "quality": 80}),
    ],
)
def test_a_copy_is_near_and_another_picture_is_not(tmp_path, name, change):
    original = picture(3, (256, 192))
    size = change.pop("size", original.size)
    original.resize(size).save(tmp_path / name, **{"format": "JPEG", **change})
    facts = examine(str(tmp_path / name))
    bits, colours = fingerprint(np.asarray(original))
    assert (bits ^ facts.perceptual).bit_count() <= MAX_BITS
    off = np.frombuffer(colours, np.uint8).astype(int) - np.frombuffer(facts.colours, np.uint8)
    assert np.abs(off).max() <= MAX_COLOUR
    others = [fingerprint(np.asarray(picture(seed, (256, 192))))[0] for seed in range(10, 60)]
    assert min((bits ^ other).bit_count() for other in others) > MAX_BITS


def test_two_colours_of_one_shape_are_no_copies():
    pixels = np.asarray(picture(1, (64, 64)).convert("L")).astype(float)
    red = np.stack([pixels, pixels * 0.3, pixels * 0.3], axis=2).astype(np.uint8)
    off = np.frombuffer(fingerprint(red)[1], np.uint8).astype(int)
    off -= np.frombuffer(fingerprint(red[:, :, ::-1].copy())[1], np.uint8)
    assert np.abs(off).max() > MAX_COLOUR


def kind_of(rows, facts, row):
    pixels = tuple(facts.rows[rows.file_of[row]]["pixels"].tolist())
    return pixels, rows.split_of[row], rows.labels[row], rows.cameras[row]


def brute_force_copies(splits, facts, rows):
    """Compare every row with every other one by the rules as the documentation tells them."""
    trained = {file for split in splits if split.role == "train" for file in split.files}
    memorised = {s.name for s in splits if s.role != "train" and set(s.files) <= trained}
    result = set()
    places = [rows.place(row) for row in range(len(rows))]
    kinds = {}
    for row in reversed(range(len(rows))):
        kinds[kind_of(rows, facts, row)] = row
    for a, one in enumerate(places):
        for b, other in enumerate(places):
            fa, fb = int(rows.file_of[a]), int(rows.file_of[b])
            if a == b or fa in facts.broken or fb in facts.broken:
                continue
            x, y = facts.rows[fa], facts.rows[fb]
            exact = bool((x["pixels"] == y["pixels"]).all())
            if not exact:
                # equal rows of one kind are compared in the first one
                if any(kinds[kind_of(rows, facts, row)] != row for row in (a, b)):
                    continue
                if any(facts.traits(f) & Trait.CONSTANT for f in (fa, fb)):
                    continue
                bits = (int(x["perceptual"]) ^ int(y["perceptual"])).bit_count()
                off = np.abs(x["colours"].astype(int) - y["colours"].astype(int)).max()
                if bits > MAX_BITS or off > MAX_COLOUR:
                    continue
            s, t = one.split, other.split
            label, other_label = int(s.labels[one.row]), int(t.labels[other.row])
            near = "" if exact else "near_"
            if (s.role == "train") == (t.role == "train") and label != other_label:
                result.add((near + "conflict", a))
            if s.role != "train" and t.role == "train" and s.name not in memorised:
                result.add((near + "leak", a))
            if s is t and label == other_label and a > b:
                result.add((near + "duplicate", a))
            if s.role == "query" and t.role == "gallery" and label == other_label:
                cameras = s.cameras is not None and t.cameras is not None
                excluded = cameras and s.cameras[one.row] == t.cameras[other.row]
                if not excluded and fa != fb:
                    result.add((near + "copy_in_gallery", a))
    return result


@pytest.mark.parametrize("seed", range(12))
def test_copies_agree_with_brute_force(tmp_path, seed):
    rng = np.random.default_rng(seed)
    images = tmp_path / "images"
    images.mkdir()
    names = []
    for number in range(5):
        original = picture(100 * seed + number, (96, 96))
        original.save(images / f"{number}.png")
        shutil.copy(images / f"{number}.png", images / f"{number}_copy.png")
        original.save(images / f"{number}_q70.jpg", quality=70)
        original.resize((64, 64)).save(images / f"{number}_small.jpg", quality=90)
        names += [f"{number}.png", f"{number}_copy.png", f"{number}_q70.jpg", f"{number}_small.jpg"]
    Image.new("RGB", (40, 40), (3, 3, 3)).save(images / "black.png")
    Image.new("RGB", (40, 40), (4, 4, 4)).save(images / "blacker.png")
    names += ["black.png", "blacker.png", "missing.png"]
    for split in ROLES:
        count = int(rng.integers(3, 14))
        chosen = rng.choice(names, size=count)
        lines = [f"{n} {rng.integers(0, 3)} {rng.integers(0, 2)}\n" for n in chosen]
        (tmp_path / f"{split.lower()}.txt").write_text("".join(lines))
    splits = read_splits(tmp_path)
    rows = AllRows(splits)
    facts = examine_files(rows.files, workers=0)
    expected = brute_force_copies(splits, facts, rows)
    kinds = {kind for kind in KINDS if kind.removeprefix("near_") in
             ("conflict", "leak", "duplicate", "copy_in_gallery")}  # fmt: skip
    row_of = {
        (split.name, line): int(rows.starts[number]) + row
        for number, split in enumerate(splits)
        for row, line in enumerate(split.lines)
    }
    got = [
        (one.kind, row_of[one.split, one.line])
        for one in diagnose(rows, facts).findings
        if one.kind in kinds
    ]
    assert len(got) == len(set(got))
    assert set(got) == expected


def test_one_blank_page_under_many_labels_is_no_square(tmp_path):
    """Twenty thousand rows of one picture: linear, or this never ends."""
    (tmp_path / "images").mkdir()
    picture(1).save(tmp_path / "images" / "blank.png")
    lines = "".join(f"blank.png {label} {label}\n" for label in range(20_000))
    (tmp_path / "train.txt").write_text(lines)
    diagnosis = examined(read_splits(tmp_path, ["Train"]))
    assert diagnosis.counts()["conflict"] == 20_000


# labels


def split_of(labels, cameras=None, *, name="Train", role="train", paths=None, root="/r"):
    number = len(labels)
    paths = paths or [f"{name}/{i}.jpg" for i in range(number)]
    return ListedSplit(
        name=name,
        role=role,
        paths=paths,
        files=[f"{root}/{path}" for path in paths],
        images=[f"{root}/{path}" for path in paths],
        labels=np.array(labels),
        cameras=None if cameras is None else np.array(cameras),
        sources=["list.txt"] * number,
        lines=list(range(1, number + 1)),
    )


def label_findings(*splits, **options):
    from lookalike.data.doctor.label_faults import find_label_faults

    options = {"num_classes": None, "shared_labels": False, **options}
    return [(one.kind, one.split, one.line) for one in find_label_faults(splits, **options)]


def brute_force_unreachable(query, gallery):
    lines = []
    for q in range(len(query)):
        left = 0
        for g in range(len(gallery)):
            cameras = query.cameras is not None and gallery.cameras is not None
            if query.labels[q] != gallery.labels[g]:
                continue
            if cameras and query.cameras[q] == gallery.cameras[g]:
                continue
            if query.images[q] == gallery.images[g]:
                continue
            left += 1
        lines += [] if left else [query.lines[q]]
    return lines


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_unreachable_queries_agree_with_brute_force(data):
    with_cameras = data.draw(st.booleans())
    one_root = data.draw(st.booleans())

    def draw(name, role, root):
        number = data.draw(st.integers(1, 8))
        labels = data.draw(st.lists(st.integers(0, 3), min_size=number, max_size=number))
        cameras = data.draw(st.lists(st.integers(0, 2), min_size=number, max_size=number))
        paths = [
            f"{n}.jpg"
            for n in data.draw(st.lists(st.integers(0, 5), min_size=number, max_size=number))
        ]
        return split_of(
            labels, cameras if with_cameras else None, name=name, role=role, paths=paths, root=root
        )

    query = draw("Query", "query", "/r")
    gallery = draw("Gallery", "gallery", "/r" if one_root else "/other")
    got = label_findings(query, gallery)
    expected = brute_force_unreachable(query, gallery)
    assert [line for kind, _, line in got if kind == "unreachable_query"] == expected
    assert (("no_answer", "Query", 0) in got) == (len(expected) == len(query))


def test_unreachable_queries_are_those_that_the_evaluation_leaves_out():
    """The rules are held against the evaluation itself, not only against their description."""
    import torch

    from lookalike.retrieval import MeanAveragePrecision, evaluate_retrieval
    from lookalike.types import EmbeddingTable

    rng = np.random.default_rng(0)
    for cameras in (True, False):
        sides = []
        for name in ("Query", "Gallery"):
            labels, own = rng.integers(0, 4, 12), rng.integers(0, 2, 12)
            paths = [f"{n}.jpg" for n in rng.permutation(30)[:12]]
            sides.append(
                split_of(
                    labels,
                    own if cameras else None,
                    name=name,
                    role=name.lower(),
                    paths=paths,
                )
            )
        tables = [
            EmbeddingTable(
                torch.from_numpy(rng.normal(size=(12, 3))).float(),
                torch.from_numpy(side.labels),
                list(side.paths),
                None if side.cameras is None else torch.from_numpy(side.cameras),
            )
            for side in sides
        ]
        result = evaluate_retrieval(*tables, [MeanAveragePrecision()], same_images=True)
        left_out = [one for one in label_findings(*sides) if one[0] == "unreachable_query"]
        assert result.num_answerable == 12 - len(left_out)


def test_one_split_that_is_both_excludes_each_image_itself():
    both = split_of([0, 0, 1], name="Eval", role="query")
    assert label_findings(both) == [("unreachable_query", "Eval", 3)]


def test_cameras_on_one_side_alone_are_an_error():
    query = split_of([0], [1], name="Query", role="query")
    gallery = split_of([0], None, name="Gallery", role="gallery", root="/g")
    assert ("list", "Gallery", 0) in label_findings(query, gallery)


def test_labels_out_of_range_are_told_once_each():
    train = split_of([0, 5, 9, 5, 1])
    got = label_findings(train, num_classes=5)
    assert [one for one in got if one[0] == "label_out_of_range"] == [
        ("label_out_of_range", "Train", 2),
        ("label_out_of_range", "Train", 3),
    ]
    evaluated = split_of([7, 7], name="Eval", role="classified")
    assert not label_findings(evaluated, num_classes=5)
    assert label_findings(evaluated, num_classes=5, shared_labels=True) == [
        ("label_out_of_range", "Eval", 1)
    ]


@pytest.mark.parametrize(
    ("labels", "num_classes", "expected"),
    [
        ([0, 1, 2], 3, None),
        ([0, 2], 3, "1 of the labels 0 to 2 have no image: 1"),
        ([2, 4], None, "3 of the labels 0 to 4 have no image: 0, 1, 3"),
        ([0], 10**12, "999,999,999,999 of the labels 0 to 999999999999 have no image: "
         "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, ..."),
    ],
)  # fmt: skip
def test_gaps(labels, num_classes, expected):
    from lookalike.data.doctor.label_faults import find_label_faults

    gaps = [
        one.detail
        for one in find_label_faults(
            [split_of(labels * 2)], num_classes=num_classes, shared_labels=False
        )
        if one.kind == "label_gap"
    ]
    assert gaps == ([] if expected is None else [expected])


@given(st.lists(st.integers(1, 50), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_gini_is_half_the_relative_mean_difference(sizes):
    sizes = np.sort(np.array(sizes))
    by_definition = np.abs(sizes[:, None] - sizes).mean() / (2 * sizes.mean())
    assert gini(sizes) == pytest.approx(by_definition, abs=1e-12)


def test_statistics_of_a_tail(tmp_path, diagnosis):
    train = diagnosis.statistics[0]
    assert (train.num_images, train.num_labels) == (58, 8)
    assert train.per_label.sum() == 58
    assert train.head == (0, 0.0) and train.tail == (8, 1.0)
    assert sum(train.kinds.values()) == 58 - 11
    assert train.kinds["PNG"] == 8


def test_the_same_list_on_both_sides_is_one_warning(tmp_path):
    root = tmp_path
    (root / "images").mkdir()
    for number in range(4):
        picture(number).save(root / "images" / f"{number}.png")
    for name in ROLES:
        lines = "".join(f"{n}.png {n // 2} {n}\n" for n in range(4))
        (root / f"{name.lower()}.txt").write_text(lines)
    diagnosis = examined(read_splits(root))
    assert found(diagnosis) == [("same_images", "Gallery", ""), ("same_images", "Query", "")]


def test_a_data_set_without_faults_has_no_finding(tmp_path):
    (tmp_path / "images").mkdir()
    for number in range(6):
        picture(number).save(tmp_path / "images" / f"{number}.png")
    (tmp_path / "train.txt").write_text("".join(f"{n}.png {n // 2} 0\n" for n in range(6)))
    assert found(examined(read_splits(tmp_path, ["Train"]), num_classes=3)) == []


# processes


def _die_on_three(file):
    if file == "3":
        os.kill(os.getpid(), signal.SIGKILL)
    if file == "7":
        time.sleep(600)
    return f"read {file}"


def test_a_file_that_kills_or_stops_its_reader_costs_only_itself():
    results = dict(
        over_files(
            _die_on_three, [str(i) for i in range(80)], workers=2, lost=lambda why: why, seconds=4
        )
    )
    assert sorted(results) == list(range(80))
    assert results[3] == "the process that read it died"
    assert results[7] == "it was not read within 4 seconds"
    assert all(results[i] == f"read {i}" for i in range(80) if i not in (3, 7))


def test_no_file_needs_no_process():
    assert list(over_files(_die_on_three, [], workers=2, lost=str)) == []


def test_stopping_early_leaves_no_process():
    import multiprocessing

    results = over_files(_slow, ["1"] * 100, workers=2, lost=str)
    next(results)
    results.close()
    assert multiprocessing.active_children() == []


def _slow(file):
    time.sleep(0.01)
    return file


# data sets


def test_listed_only_ends_with_its_block(tmp_path):
    (tmp_path / "list.txt").write_text("gone.jpg 0\n")
    with listed_only():
        assert len(label_file(str(tmp_path), str(tmp_path / "list.txt"))) == 1
    with pytest.raises(DataError, match="no such image"):
        label_file(str(tmp_path), str(tmp_path / "list.txt"))


def test_mixed_data_sets_keep_each_list_and_line(tmp_path):
    from lookalike.data.datasets import MixedDataset

    for part in ("a", "b"):
        (tmp_path / part).mkdir()
        (tmp_path / f"{part}.txt").write_text("\nx.jpg 0\n\ny.jpg 1\n")
    (tmp_path / "t.csv").write_text("path,label\nz.jpg,cat\n")
    with listed_only():
        mixed = MixedDataset(
            [
                label_file(str(tmp_path / "a"), str(tmp_path / "a.txt")),
                label_file(str(tmp_path / "b"), str(tmp_path / "b.txt")),
                table(str(tmp_path / "b"), str(tmp_path / "t.csv")),
            ]
        )
    split = ListedSplit.of("Train", "train", mixed)
    assert split.files == [
        str(tmp_path / name) for name in ("a/x.jpg", "a/y.jpg", "b/x.jpg", "b/y.jpg", "b/z.jpg")
    ]
    assert split.lines == [2, 4, 2, 4, 2]
    assert split.paths == ["x.jpg", "y.jpg", "x.jpg", "y.jpg", "z.jpg"]
