"""Settings that fit each other, or do not, at the boundary between the two."""

import pytest

from lookalike.assembly.consistency import (
    _grouped,
    _share_with_partner,
    check_domains,
    settings_without_effect,
)
from lookalike.assembly.load import load_run
from lookalike.errors import DataError


def notes_of(tiny, *overrides):
    return " ".join(settings_without_effect(load_run(tiny / "run.yaml", overrides)))


@pytest.mark.parametrize(("warm_up", "said"), [(1, False), (2, False), (2.5, True), (3, True)])
def test_a_warm_up_longer_than_the_run_is_told_one_as_long_is_not(tiny, warm_up, said):
    notes = notes_of(tiny, "Global.epochs=2", f"Optimizer.lr.warmup_epoch={warm_up}")
    assert (f"the warm-up of {warm_up:g} epochs is longer than the run (2)" in notes) is said


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("+Global.class_num=7", "Global.class_num (7) decides nothing"),
        ("+Global.class_num=6", None),
        ("+Global.bad_images_limit=0.5", "bad_images_limit decides nothing"),
        ("+Arch.use_sync_bn=True", "use_sync_bn decides nothing in one process"),
        ("+AMP={scale_loss: 8}", "AMP is on, because the section is there"),
        ("+AMP={use_amp: True}", None),
        ("+AMP={use_amp: False}", None),
        ("+AMP={use_amp: True, level: O2}", "AMP.level O2 is computed as O1"),
        ("+AMP={use_amp: False, level: O2}", None),
        ("+Global.sim_block_size=8", "sim_block_size decides nothing"),
        ("Global.seed=8", None),
    ],
)
def test_what_decides_nothing_is_told(tiny, override, words):
    found = notes_of(tiny, override)
    if words is None:
        assert found == ""
    else:
        assert words in found


def test_block_sizes_matter_to_the_reference_protocol(tiny):
    options = ("+Global.sim_block_size=8", "+Global.retrieval_protocol=reference")
    assert "sim_block_size" not in notes_of(tiny, *options)


@pytest.mark.parametrize(
    ("batches", "views", "grouped"),
    [
        ([[1, 1, 2, 2]], 2, True),
        ([[1, 1, 2, 2]], 4, False),
        ([[1, 2, 2, 1]], 2, False),
        ([[1, 1, 2]], 2, False),
        ([[1, 1], [2, 3]], 2, False),
        ([[1, 1, 1]], 3, True),
    ],
)
def test_labels_that_stand_together(batches, views, grouped):
    assert _grouped(batches, views) is grouped


def test_the_share_of_images_with_a_partner():
    assert _share_with_partner([[1, 1, 2, 3]]) == 0.5
    assert _share_with_partner([[1, 2], [1, 1]]) == 0.5
    assert _share_with_partner([[1, 2, 3]]) == 0.0
    assert _share_with_partner([]) == 0.0


class Domains:
    source = "list.txt"

    def __init__(self, cameras):
        self.cameras = cameras


def test_domains_are_at_least_two():
    check_domains(Domains([0, 1, 1]))
    for cameras in ([1, 1], None):
        with pytest.raises(DataError, match="all images are of one camera"):
            check_domains(Domains(cameras))
