"""With bad_images: skip a bad image leaves the batch, is named and counted; nothing replaces it."""

import numpy as np
import pytest
import torch
from conftest import trainer_of
from PIL import Image

from lookalike.data import EndlessBatches, RandomIdentitySampler, SequenceSampler
from lookalike.data.datasets import veri_wild
from lookalike.data.transforms.batch_mix import MixupOrCutMix
from lookalike.errors import ConfigError, DataError
from lookalike.training import RunLog, load_checkpoint
from lookalike.training.quarantine import QuarantinedBatches

SKIP = ("Global.bad_images=skip", "Global.bad_images_limit=5")


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    lines = []
    for index in range(20):
        pixels = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{index:02d}.png")
        lines.append(f"{index:02d}.png {index // 4} {index % 4}\n")
    (tmp_path / "list.txt").write_text("".join(lines))
    return tmp_path


def spoil(folder, *indices):
    for index in indices:
        (folder / f"{index:02d}.png").write_bytes(b"no image")


def read(folder):
    return veri_wild(str(folder), str(folder / "list.txt"))


def stream(dataset, sampler, start=0, number=8, **options):
    batches = EndlessBatches(dataset, sampler, seed=3, skip_bad=True, **options).start(start)
    return [next(batches) for _ in range(number)]


def plain(folder, sampler_of, number=8):
    """Return the batches of the same data before anything is spoilt."""
    dataset = read(folder)
    batches = EndlessBatches(dataset, sampler_of(dataset), seed=3).start()
    return [next(batches) for _ in range(number)]


def in_order(dataset, size=5):
    return SequenceSampler(dataset.labels, batch_size=size)


def in_groups(dataset):
    return RandomIdentitySampler(dataset.labels, batch_size=6, images_per_label=2, seed=5)


def test_without_bad_images_nothing_changes(folder):
    for sampler_of in (in_order, in_groups):
        dataset = read(folder)
        for one, other in zip(
            stream(dataset, sampler_of(dataset)), plain(folder, sampler_of), strict=True
        ):
            assert torch.equal(one.images, other.images)
            assert torch.equal(one.indices, other.indices)
            assert one.bad == ()


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_batch_is_smaller_by_its_bad_images_and_else_the_same(folder, num_workers):
    dataset = read(folder)
    whole = plain(folder, in_order)
    spoil(folder, 6, 7, 13)
    for one, before in zip(
        stream(dataset, in_order(dataset), num_workers=num_workers), whole, strict=True
    ):
        kept = ~torch.isin(before.indices, torch.tensor([6, 7, 13]))
        assert torch.equal(one.indices, before.indices[kept])
        assert torch.equal(one.images, before.images[kept])
        assert torch.equal(one.labels, before.labels[kept])
        assert torch.equal(one.cameras, before.cameras[kept])
        assert [bad.index for bad in one.bad] == before.indices[~kept].tolist()
        assert all(f"{bad.index:02d}.png" in bad.message for bad in one.bad)


@pytest.mark.parametrize("start", [0, 3, 7])
def test_the_stream_can_still_be_entered_anywhere(folder, start):
    spoil(folder, 1, 9)
    dataset = read(folder)
    whole = stream(dataset, in_groups(dataset), number=10)
    tail = stream(dataset, in_groups(dataset), start=start, number=10 - start)
    for one, other in zip(tail, whole[start:], strict=True):
        assert torch.equal(one.images, other.images)
        assert one.bad == other.bad


def test_where_labels_are_dealt_in_groups_the_whole_group_leaves(folder):
    dataset = read(folder)
    whole = plain(folder, in_groups, number=16)
    spoil(folder, 1)
    smaller = 0
    for one, before in zip(stream(dataset, in_groups(dataset), number=16), whole, strict=True):
        if 1 in before.indices:
            kept = before.labels != 0
            smaller += 1
            assert torch.equal(one.indices, before.indices[kept])
            assert torch.equal(one.images, before.images[kept])
            counts = torch.unique(one.labels, return_counts=True)[1]
            assert counts.tolist() == [2, 2]
        else:
            assert torch.equal(one.indices, before.indices)
    assert smaller >= 2


def test_a_batch_with_too_little_left_is_empty(folder):
    spoil(folder, 5, 6, 7, 8)
    dataset = read(folder)
    batch = stream(dataset, in_order(dataset), number=2)[1]
    assert len(batch.labels) == len(batch.images) == len(batch.indices) == 0
    assert [bad.index for bad in batch.bad] == [5, 6, 7, 8]
    spoil(folder, *range(12))  # of three labels at least two go, or all but one
    sizes = {len(set(one.labels.tolist())) for one in stream(dataset, in_groups(dataset))}
    assert sizes <= {0, 2}


def test_mixing_by_pairs_survives_an_odd_number(folder):
    spoil(folder, 2)
    dataset = read(folder)
    batches = stream(dataset, in_order(dataset, 4), mixture=MixupOrCutMix(5))
    assert [len(one.labels) for one in batches[:2]] == [2, 4]
    assert batches[0].labels.shape == (2, 5)
    assert [bad.index for bad in batches[0].bad] == [2]


def test_without_skip_and_in_evaluation_a_bad_image_is_an_error(folder):
    from lookalike.data import make_loader

    spoil(folder, 2)
    dataset = read(folder)
    with pytest.raises(DataError, match=r"02\.png"):
        next(EndlessBatches(dataset, in_order(dataset)).start())
    with pytest.raises(DataError, match=r"02\.png"):
        list(make_loader(dataset, in_order(dataset)))


# the account


def account(folder):
    return [line.split("\t") for line in (folder / "quarantine.tsv").read_text().splitlines()]


def quarantined(folder, run, limit=9, size=5):
    dataset = read(folder)
    batches = EndlessBatches(dataset, in_order(dataset, size), seed=3, skip_bad=True)
    return QuarantinedBatches(batches, run, limit=limit, log=RunLog(run, quiet=True))


def take(batches, start, number):
    one = batches.start(start)
    return [next(one) for _ in range(number)]


def test_every_bad_image_is_listed_once_where_it_was_first_met(folder, tmp_path):
    spoil(folder, 6, 13)
    run = tmp_path / "run"
    take(quarantined(folder, run), 0, 12)
    rows = account(run)
    assert rows[0] == ["iteration", "what", "path", "reason"]
    assert [row[:3] for row in rows[1:]] == [["1", "image", "06.png"], ["2", "image", "13.png"]]
    assert "not an image" in rows[1][3]
    log = (run / "train.log").read_text()
    assert log.count("06.png") == 1 and "(2, 9 allowed)" in log


def test_a_batch_left_out_is_listed_each_time(folder, tmp_path):
    spoil(folder, 5, 6, 7, 8, 9)
    run = tmp_path / "run"
    batches = quarantined(folder, run)
    take(batches, 0, 8)
    assert [row[:2] for row in account(run) if row[1] == "batch"] == [
        ["1", "batch"],
        ["5", "batch"],
    ]
    assert batches.left_out == 2


@pytest.mark.parametrize("cut", [1, 2, 5, 6])
def test_a_resumed_account_is_that_of_the_uninterrupted_run(folder, tmp_path, cut):
    spoil(folder, 2, 5, 6, 7, 8, 9, 13)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    take(quarantined(folder, whole), 0, 8)
    take(quarantined(folder, parts), 0, cut + 1)  # killed one batch behind its checkpoint
    with open(parts / "quarantine.tsv", "a") as file:
        file.write("7\tima")  # in the middle of a row
    take(quarantined(folder, parts), cut, 8 - cut)
    assert (parts / "quarantine.tsv").read_text() == (whole / "quarantine.tsv").read_text()


def test_a_new_run_in_the_folder_begins_a_new_account(folder, tmp_path):
    spoil(folder, 2)
    run = tmp_path / "run"
    take(quarantined(folder, run), 0, 4)
    spoil(folder, 11)
    Image.new("RGB", (6, 6)).save(folder / "02.png")
    take(quarantined(folder, run), 0, 4)
    assert [row[2] for row in account(run)[1:]] == ["11.png"]


def test_more_than_the_limit_is_an_error_that_says_what_to_do(folder, tmp_path):
    spoil(folder, 2, 6, 13)
    run = tmp_path / "run"
    with pytest.raises(DataError) as caught:
        take(quarantined(folder, run, limit=2), 0, 4)
    message = str(caught.value)
    assert "3 images are bad" in message and "allows 2 of 20" in message
    assert "quarantine.tsv" in message and "check --data" in message
    assert len(account(run)) == 4
    with pytest.raises(DataError, match="1 images are bad"):
        take(quarantined(folder, tmp_path / "other", limit=0), 0, 4)


def test_the_limit_counts_over_resumes(folder, tmp_path):
    spoil(folder, 2, 13)
    run = tmp_path / "run"
    take(quarantined(folder, run, limit=1), 0, 2)
    with pytest.raises(DataError, match="2 images are bad"):
        take(quarantined(folder, run, limit=1), 2, 2)


def test_names_with_tabs_keep_the_table_whole(folder, tmp_path):
    (folder / "a\tb.png").write_bytes(b"no")
    (folder / "list.txt").write_text("00.png|0\n01.png|0\na\tb.png|1\n")
    from lookalike.data.datasets import label_file

    dataset = label_file(str(folder), str(folder / "list.txt"), delimiter="|")
    batches = EndlessBatches(dataset, in_order(dataset, 3), skip_bad=True)
    run = tmp_path / "run"
    take(QuarantinedBatches(batches, run, limit=3, log=RunLog(quiet=True)), 0, 2)
    assert [len(row) for row in account(run)] == [4, 4]


# a run


def ruin(tiny, *names):
    for name in names:
        (tiny / "images" / name).write_bytes(b"ruined")


def test_a_run_goes_on_and_names_what_it_left_out(tiny):
    trainer = trainer_of(tiny, *SKIP, "Global.eval_during_train=False")
    ruin(tiny, "001/002.jpg", "004/000.jpg")
    (tiny / "images/002/001.jpg").unlink()
    trainer.run()
    assert trainer.iteration == 2 * trainer.iterations_per_epoch
    paths = {row[2] for row in account(tiny / "output") if row[1] == "image"}
    assert paths == {"001/002.jpg", "004/000.jpg", "002/001.jpg"}


def test_a_missing_file_does_not_stop_the_start(tiny):
    (tiny / "images/002/001.jpg").unlink()
    with pytest.raises(DataError, match="no such image"):
        trainer_of(tiny)
    trainer_of(tiny, *SKIP, "Global.eval_during_train=False").run()
    assert account(tiny / "output")[1][2] == "002/001.jpg"


def test_the_evaluation_still_refuses_a_bad_image(tiny):
    trainer = trainer_of(tiny, *SKIP)
    ruin(tiny, "001/002.jpg")
    with pytest.raises(DataError, match=r"001/002\.jpg"):
        trainer.run()


@pytest.mark.parametrize("update_freq", [1, 2])
def test_a_resumed_run_with_bad_images_equals_the_uninterrupted_one(tiny, update_freq):
    ruin(tiny, "001/002.jpg", "004/000.jpg", "005/001.jpg", "005/003.jpg")
    options = (*SKIP, "Global.eval_during_train=False", f"Global.update_freq={update_freq}")
    whole = trainer_of(tiny, *options, f"Global.output_dir={tiny}/whole")
    whole.run()
    part = trainer_of(tiny, *options)
    part.epochs = 1
    part.run()
    rest = trainer_of(tiny, *options)
    rest.restore(load_checkpoint(tiny / "output"))
    rest.run()
    for name, value in whole.update.model.state_dict().items():
        assert torch.equal(value, rest.update.model.state_dict()[name]), name
    assert account(tiny / "output") == account(tiny / "whole")


def test_a_batch_without_images_moves_no_weight(tiny):
    ruin(tiny, *(f"{label:03d}/{view:03d}.jpg" for label in range(1, 6) for view in range(4)))
    trainer = trainer_of(
        tiny, *SKIP, "Global.bad_images_limit=20", "Global.eval_during_train=False", "EMA.decay=0.5"
    )
    before = {k: v.clone() for k, v in trainer.update.model.state_dict().items()}
    trainer.run()
    for name, value in trainer.update.model.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert sum(row[1] == "batch" for row in account(tiny / "output")) == trainer.iteration


@pytest.mark.parametrize(
    ("limit", "images", "allowed"),
    [(0.01, 1000, 10), (0.01, 24, 0), (5, 24, 5), (0, 9, 0), (1, 9, 1)],
)
def test_the_limit_is_a_share_or_a_number(tiny, limit, images, allowed):
    from lookalike.assembly.bad_images import bad_images_limit
    from lookalike.assembly.load import load_run

    run = load_run(tiny / "run.yaml", [f"Global.bad_images_limit={limit}"])
    assert bad_images_limit(run, images) == allowed


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("Global.bad_images=replace", "'error' or 'skip'"),
        ("Global.bad_images_limit=2.5", "whole number of images"),
        ("Global.bad_images_limit=-1", "greater than or equal to 0"),
    ],
)
def test_other_policies_are_refused(tiny, override, says):
    with pytest.raises(ConfigError, match=says):
        trainer_of(tiny, override)


def test_what_needs_every_image_refuses_to_skip(tiny):
    with pytest.raises(ConfigError, match="feature_cache reads every image"):
        trainer_of(tiny, *SKIP, "Global.feature_cache=True")


def test_a_limit_without_skip_is_told_to_decide_nothing(tiny):
    from lookalike.assembly.job import build_job
    from lookalike.assembly.load import load_run

    notes = build_job(load_run(tiny / "run.yaml", ["Global.bad_images_limit=3"])).notes
    assert any("bad_images_limit decides nothing" in note for note in notes)
