"""A retrieval problem as every system gets it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]


class NotOffered(Exception):  # noqa: N818 - an answer, not an error
    """The system has no such metric or no such rule."""


@dataclass(frozen=True)
class Problem:
    """Two tables of unit vectors.

    Attributes:
        query: ``[Q, D]`` float32.
        gallery: ``[G, D]`` float32.
        query_labels: ``[Q]`` int64.
        gallery_labels: ``[G]`` int64.
        query_cameras: ``[Q]`` int64; pairs of one label and one camera are removed.
        gallery_cameras: ``[G]`` int64.
        same_images: Row i of both tables is one image, and no query finds itself.
        block_size: Queries at a time, for systems that have such a setting.
    """

    query: Array
    gallery: Array
    query_labels: Array
    gallery_labels: Array
    query_cameras: Array | None = None
    gallery_cameras: Array | None = None
    same_images: bool = False
    block_size: int = 64

    def removed(self) -> Array:
        """Return ``[Q, G]`` bool: the pairs that are not part of the ranking."""
        out = np.zeros((len(self.query), len(self.gallery)), dtype=bool)
        if self.query_cameras is not None and self.gallery_cameras is not None:
            out |= (self.query_labels[:, None] == self.gallery_labels) & (
                self.query_cameras[:, None] == self.gallery_cameras
            )
        if self.same_images:
            out |= np.eye(len(self.query), dtype=bool)
        return out

    def scores(self) -> Array:
        """Return the similarities ``[Q, G]``, for systems that are given these.

        Of a small problem they are made row by row: equal items get equal scores, which in a
        matrix product they need not.
        """
        if len(self.query) * len(self.gallery) > 1_000_000:
            return np.asarray(self.query @ self.gallery.T)
        return np.stack([(row * self.gallery).sum(axis=1) for row in self.query])

    def with_gallery(self, order: Array) -> Problem:
        """Return the problem with the rows of its gallery in another order."""
        assert not self.same_images
        cameras = self.gallery_cameras
        return replace(
            self,
            gallery=self.gallery[order],
            gallery_labels=self.gallery_labels[order],
            gallery_cameras=None if cameras is None else cameras[order],
        )

    def with_queries(self, order: Array) -> Problem:
        """Return the problem with its queries in another order."""
        assert not self.same_images
        cameras = self.query_cameras
        return replace(
            self,
            query=self.query[order],
            query_labels=self.query_labels[order],
            query_cameras=None if cameras is None else cameras[order],
        )
