"""Embeddings moved towards their nearest neighbours before a search.

No label is looked at. Where both are done, the gallery comes first and the queries are expanded
with the augmented gallery.
"""

# Shape letters: Q = queries, G = gallery, D = embedding, K = neighbours

from __future__ import annotations

import math

import torch
from torch import Tensor

from lookalike.geometry import unit
from lookalike.retrieval.nearest import nearest_rows
from lookalike.retrieval.rows import computable, read_pair
from lookalike.table_parts import check_count, read_embeddings

_NUMBERS = 1 << 23
"""Coordinates that are gathered at a time; one query's at least."""


def expand_queries(
    query: Tensor, gallery: Tensor, *, n: int = 10, alpha: float = 3.0, own: Tensor | None = None
) -> Tensor:
    """Average every query with its nearest gallery images, weighted by ``cosine ** alpha``.

    The query is one of the n, with weight 1, so an n of 0 or 1 leaves it as it is. An alpha of 0
    takes the plain average. A negative cosine counts as 0, since its power need not exist; to the
    power of 0 it is 1. Of equally near images those of the smaller row are taken.

    Source: Radenovic, Tolias and Chum, "Fine-tuning CNN Image Retrieval with No Human Annotation",
    TPAMI 2019 (alpha QE; its n does not count the query). https://arxiv.org/abs/1711.02512
    The plain average: Chum et al., "Total Recall", ICCV 2007.

    Args:
        query: ``[Q, D]``, of any length: compared by cosine.
        gallery: ``[G, D]``.
        n: Images in an average, the query among them; more than there are takes all.
        alpha: Exponent, at least 0; a large one trusts only the nearest.
        own: ``[Q]`` gallery row that is the query itself, not to be counted twice; -1 for none.

    Returns:
        ``[Q, D]`` of length one, of the queries' type; a zero vector without a neighbour of weight
        stays zero.

    Raises:
        DataError: If a table is empty, their widths differ or a number is not finite.
        ValueError: If n is no whole number of at least 0, or alpha is negative.

    Example:
        >>> query, gallery = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.6, 0.8], [-1.0, 0.0]])
        >>> expand_queries(query, gallery, n=2, alpha=0.0)
        tensor([[0.8944, 0.4472]])
    """
    check_count(n, "n", least=0)
    if not 0.0 <= alpha < math.inf:
        raise ValueError(f"alpha must be a number of at least 0, got {alpha}.")
    given = computable(read_embeddings(query, "query"))
    query, gallery = read_pair(query, gallery, "expansion")
    if n <= 1:
        return unit(given)
    vectors, items = unit(query).cpu(), unit(gallery).cpu()
    n = min(n, len(items) + 1)
    near = nearest_rows(vectors, items, n - 1, own=None if own is None else own.cpu())
    found = torch.empty_like(vectors)
    step = max(1, _NUMBERS // (n * max(vectors.shape[1], 1)))
    for some in torch.split(torch.arange(len(vectors)), step):
        around = _weighted(near.keys[some], near.numbers[some], items, alpha)
        found[some] = unit(vectors[some] + around)
    return found.to(given)


def augment_database(gallery: Tensor, *, n: int = 10, alpha: float = 3.0) -> Tensor:
    """Average every gallery image with its nearest ones, weighted by ``cosine ** alpha``.

    Every average is taken over the images as they were, so the order of the rows does not matter
    (but among equally near images). It is :func:`expand_queries` of the gallery with itself.

    Source: Arandjelovic and Zisserman, "Three things everyone should know to improve object
    retrieval", CVPR 2012 (the plain average); Gordo et al., "End-to-end Learning of Deep Visual
    Representations for Image Retrieval", IJCV 2017 (weights, which there fall with the rank).

    Args:
        gallery: ``[G, D]``, of any length: compared by cosine.
        n: Images in an average, the image itself among them.
        alpha: Exponent, at least 0.

    Returns:
        ``[G, D]`` of length one.

    Raises:
        DataError: If the table is empty or a number is not finite.
        ValueError: If n is no whole number of at least 0, or alpha is negative.

    Example:
        >>> augment_database(torch.tensor([[1.0, 0.0], [0.6, 0.8]]), n=2, alpha=0.0)
        tensor([[0.8944, 0.4472],
                [0.8944, 0.4472]])
    """
    gallery = read_embeddings(gallery, "gallery")
    return expand_queries(gallery, gallery, n=n, alpha=alpha, own=torch.arange(len(gallery)))


def _weighted(cosines: Tensor, numbers: Tensor, items: Tensor, alpha: float) -> Tensor:
    """Return the weighted sums of neighbours ``[Q, D]``; a cosine of -inf is no neighbour."""
    real = cosines > -torch.inf
    weights = torch.where(real, cosines.clamp_min(0.0) ** alpha, 0.0)
    return torch.bmm(weights[:, None], items[numbers.long()])[:, 0]
