"""Twenty kills; two hundred are in ``make soak``."""

from soak.kills import series


def test_a_run_killed_twenty_times_ends_as_the_one_left_alone():
    *kills, result = series(seed=1, kills=20, longest=0.8)
    assert result["kills"] == 20, kills
    assert result["in_a_write"] >= 5
    assert result["resumed"] > 5
    assert result["runs"] >= 1
    assert (result["unreadable"], result["differing"]) == (0, 0), kills
