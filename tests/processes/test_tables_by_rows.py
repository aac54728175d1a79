"""Tables that processes write by rows, and any number of them reads."""

import json
import os

import pytest
import torch
from process_group import run
from safetensors.torch import load_file, save_file
from test_training import SHARDED, images, same, train_in  # noqa: F401 - images is a fixture

from lookalike import processes
from lookalike.assembly.convert import convert
from lookalike.assembly.load import load_run
from lookalike.errors import CheckpointError, SetupError
from lookalike.faults import Fault, watching
from lookalike.models.sharded import Rows
from lookalike.models.tables import Part, Tables, table_name, tables_in, write_tables
from lookalike.models.weights import read_weights
from lookalike.training import load_checkpoint, save_checkpoint
from lookalike.training.checkpoint import open_checkpoint
from lookalike.training.intact import is_intact, newest_intact
from lookalike.training.stand_ins import stand_in

LONG, SHORT = table_name("model", "weight"), table_name("optimizer", 0, 1, "momentum")


def tables():
    """Return two whole tables; the second has fewer rows than there are processes."""
    draws = torch.Generator().manual_seed(0)
    return {
        LONG: torch.randn(11, 3, 2, generator=draws),
        SHORT: torch.arange(2, dtype=torch.int64),
    }


def rows_of(total):
    number, many = processes.rank(), processes.count()
    return Rows(total * number // many, total * (number + 1) // many, total)


def written(folder):
    parts = {}
    for name, whole in tables().items():
        rows = rows_of(len(whole))
        parts[name] = Part(whole[rows.start : rows.stop].clone(), rows)
    return write_tables(folder, parts).name


def read(folder):
    found = Tables(folder)
    wanted = {name: rows_of(len(whole)) for name, whole in tables().items()}
    return found.read(wanted, wanted), {name: (x.start, x.stop) for name, x in wanted.items()}


@pytest.mark.parametrize(("writers", "readers"), [(3, 4), (4, 1), (2, 3)])
def test_any_number_reads_what_others_have_written(tmp_path, writers, readers):
    names = run(written, writers, tmp_path)
    assert names == [f"rows_of_process_{rank}.safetensors" for rank in range(writers)]
    for found, wanted in run(read, readers, tmp_path):
        for name, whole in tables().items():
            assert found[name].equal(whole[slice(*wanted[name])])
            assert found[name].dtype == whole.dtype
    found = Tables(tmp_path)
    assert same(found.read(found.about, {}), tables())


def test_no_tables_are_none_and_a_lost_file_is_told(tmp_path):
    assert tables_in(tmp_path) is None
    run(written, 3, tmp_path)
    (tmp_path / "rows_of_process_1.safetensors").unlink()
    with pytest.raises(CheckpointError, match="not each row of model/weight is there once"):
        tables_in(tmp_path)


def test_another_number_of_rows_is_told(tmp_path):
    run(written, 2, tmp_path)
    with pytest.raises(CheckpointError, match="a table of 11 rows is dealt"):
        Tables(tmp_path).read([LONG], {LONG: Rows(0, 5, 12)})


@pytest.mark.parametrize(
    "places", [[10**13], [-2], [1], [0, 0, 6], [0, 2]], ids=["far", "negative", "one", "hole", "on"]
)
def test_what_a_forged_header_claims_is_not_believed(tmp_path, places):
    """Nor is memory taken for it."""
    for number, start in enumerate(places):
        about = {"DCP_SHARDING_INFO": json.dumps({LONG: {"saved_offsets": [start, 0]}})}
        path = tmp_path / f"rows_of_process_{number}.safetensors"
        save_file({LONG: torch.zeros(3, 2)}, path, metadata=about)
    with pytest.raises(CheckpointError, match="not each row"):
        tables_in(tmp_path)


def save(folder, epoch, fault=None):
    rows = rows_of(11)
    part = Part(tables()[LONG][rows.start : rows.stop] + epoch, rows)
    broken = fault is not None and processes.rank() == 1
    with watching(Fault(fault) if broken else lambda name: None):
        try:
            save_checkpoint(
                folder,
                model={"bias": torch.ones(2)},
                state={"velocity": stand_in(LONG), "iteration": epoch},
                facts={"iteration": epoch},
                tables={LONG: part},
                keep_previous=True,
            )
        except SetupError as error:
            return str(error), error.told
    return None


def test_a_checkpoint_is_whole_and_each_process_writes_its_part(tmp_path):
    run(save, 3, tmp_path / "latest", 1)
    found = load_checkpoint(tmp_path)
    assert found.model["weight"].equal(tables()[LONG] + 1)
    assert found.state == {"velocity": found.state["velocity"], "iteration": 1}
    assert found.state["velocity"].equal(tables()[LONG] + 1)
    assert read_weights(tmp_path / "latest").keys() == {"bias", "weight"}
    sizes = [(tmp_path / "latest" / f"rows_of_process_{n}.safetensors").stat().st_size
             for n in range(3)]  # fmt: skip
    assert max(sizes) < 4 * 3 * 2 * 4 + 400, "nobody writes more than it has"
    assert is_intact(tmp_path / "latest")


def test_a_full_disk_in_one_process_leaves_what_was_there(tmp_path):
    run(save, 2, tmp_path / "latest", 1)
    said = run(save, 2, tmp_path / "latest", 2, "checkpoint.write_rows:1:enospc")
    assert all("the checkpoint could not be written" in text for text, _ in said)
    assert [told for _, told in said] == [False, True], "one tells it"
    assert load_checkpoint(tmp_path).state["iteration"] == 1
    assert os.listdir(tmp_path) == ["latest"]


def test_a_state_without_its_table_is_told(tmp_path):
    save_checkpoint(tmp_path / "latest", model={}, state={"a": [stand_in(LONG)]}, facts={})
    with pytest.raises(CheckpointError, match="no rows of model/weight"):
        load_checkpoint(tmp_path).with_tables([stand_in(LONG)], {})


def opened(folder):
    try:
        open_checkpoint(folder)
    except CheckpointError as error:
        return str(error)
    return None


def test_damage_is_told_in_every_process_and_the_one_before_is_gone_on_from(tmp_path):
    for epoch in (1, 2):
        run(save, 2, tmp_path / "latest", epoch)
    path = tmp_path / "latest" / "rows_of_process_1.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    for text in run(opened, 2, tmp_path / "latest"):
        assert "rows_of_process_1.safetensors: damaged" in text
    folder, warnings = newest_intact(tmp_path)
    assert load_checkpoint(folder).state["iteration"] == 1
    assert "Going on from the one before it" in warnings[0]


def test_a_run_saves_its_head_by_rows_and_its_weights_are_found(images):  # noqa: F811
    saved = train_in(2, images, "sharded", SHARDED)
    latest = images / "sharded" / "latest"
    whole = 12 * 16 * 4
    assert (latest / "model.safetensors").stat().st_size > whole
    assert len(list(latest.glob("rows_of_process_*"))) == 2
    assert read_weights(latest)["head.weight"].equal(saved.model["head.weight"])
    assert saved.model["head.weight"].shape == (12, 16)
    best = load_checkpoint(images / "sharded" / "best_model").model
    single = images / "single.safetensors"
    convert(
        load_run(str(images / "run.yaml")), str(images / "sharded/best_model"), single, notes=[]
    )
    assert same(load_file(single), best)
