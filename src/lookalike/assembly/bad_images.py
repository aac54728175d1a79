"""``Global.bad_images``: what training does with an image that cannot be read."""

from __future__ import annotations

from lookalike.assembly.load import Run
from lookalike.errors import ConfigError


def skips_bad_images(run: Run) -> bool:
    """Tell whether training goes on without bad images.

    Raises:
        ConfigError: If it is to, and cannot.
    """
    settings = run.config.Global
    if settings.bad_images != "skip":
        return False
    reason = ""
    if settings.train_mode is not None:
        reason = f"train_mode {settings.train_mode} needs whole batches of every domain"
    elif settings.feature_cache:
        reason = "feature_cache reads every image before training"
    if reason:
        text = f"'skip' is not possible: {reason}. Take bad images out of the list instead."
        raise ConfigError([run.document.problem(("Global", "bad_images"), text)])
    return True


def bad_images_limit(run: Run, num_images: int) -> int:
    """Return how many different images may be bad: a share below 1, else a number."""
    limit = run.config.Global.bad_images_limit
    return int(limit * num_images) if limit < 1 else int(limit)
