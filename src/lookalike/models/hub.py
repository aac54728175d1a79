"""Asking a model hub for weights without waiting for a network that is not there."""

from __future__ import annotations

import logging
import os
import socket
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

_SECONDS = 3.0


@contextmanager
def hub_offline_if_unreachable() -> Iterator[None]:
    """Let timm's hub client use its cache only, if the hub does not answer within three seconds.

    Without this it tries for most of a minute. A proxy, or ``HF_HUB_OFFLINE`` set by the user, is
    left alone.
    """
    from huggingface_hub import constants

    logger = logging.getLogger("huggingface_hub")
    level, offline = logger.level, constants.HF_HUB_OFFLINE
    logger.setLevel(logging.ERROR)
    try:
        if not offline and not _reachable(constants.ENDPOINT):
            constants.HF_HUB_OFFLINE = True
        yield
    finally:
        constants.HF_HUB_OFFLINE = offline
        logger.setLevel(level)


def _reachable(address: str) -> bool:
    if urllib.request.getproxies() or os.environ.get("HF_HUB_OFFLINE"):
        return True
    parts = urlsplit(address)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        with socket.create_connection((parts.hostname or "", port), timeout=_SECONDS):
            return True
    except OSError:
        return False
