"""Which evaluation is the best, at equal scores too."""

import pytest
from conftest import trainer_of

from lookalike.training import load_checkpoint
from lookalike.training.best import Best


@pytest.mark.parametrize(
    ("scores", "improved", "best"),
    [
        ((0.5, 0.5), [True, True], (0.5, 2)),
        ((0.5, 0.4, 0.5), [True, False, True], (0.5, 3)),
        ((0.0, 0.0), [True, True], (0.0, 2)),
        ((-1.0, -2.0), [True, False], (-1.0, 1)),
        ((float("nan"), -3.0, float("nan")), [False, True, False], (-3.0, 2)),
    ],
)
def test_of_equal_scores_the_later_is_the_best(scores, improved, best):
    found = Best()
    assert [found.improves(score, n) for n, score in enumerate(scores, start=1)] == improved
    assert (found.score, found.epoch) == best


def test_two_evaluations_with_one_score_keep_the_later_model(tiny):
    trainer = trainer_of(tiny)
    trainer.evaluate = lambda model: {"recall1": 0.25, "mAP": 0.75}
    result = trainer.run()
    assert (result.best.score, result.best.epoch) == (0.25, 2)
    assert result.metrics == {"recall1": 0.25, "mAP": 0.75}
    facts = load_checkpoint(tiny / "output" / "best_model").facts
    assert (facts["epoch"], facts["best"], facts["best_epoch"]) == (2, 0.25, 2)
