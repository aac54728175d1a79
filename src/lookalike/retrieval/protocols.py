"""How the field evaluates its public data sets: what is excluded, and what is reported."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lookalike.errors import ConfigError, nearest
from lookalike.names import JUNK

Excludes = Literal["nothing", "self", "camera"]


@dataclass(frozen=True)
class EvaluationProtocol:
    """One convention.

    Attributes:
        name: As on the command line.
        excludes: ``self``: the query's own image, told by its id; ``camera``: items with the
            query's label and camera; or nothing.
        metrics: What is reported.
        junk: Labels of images that are no query's and answer none; they are left out.
        num_galleries: 0 searches the gallery as it is; otherwise so many galleries are drawn from
            the table, one random image per label, the other images being the queries.
        source: Where the convention comes from.
    """

    name: str
    excludes: Excludes
    metrics: tuple[str, ...]
    junk: tuple[int, ...] = (JUNK,)
    num_galleries: int = 0
    source: str = ""


_REID = ("recall@1", "recall@5", "recall@10", "mAP", "mINP")
PROTOCOLS = {
    one.name: one
    for one in (
        EvaluationProtocol("plain", "nothing", ("recall@1", "recall@5", "mAP")),
        EvaluationProtocol("self", "self", ("recall@1", "recall@5", "mAP")),
        EvaluationProtocol("camera", "camera", _REID),
        EvaluationProtocol(
            "market1501", "camera", _REID,
            source="Zheng et al., ICCV 2015; label -1 is junk, label 0 a distractor that stays",
        ),
        EvaluationProtocol(
            "dukemtmc", "camera", _REID, source="Ristani et al., ECCVW 2016"
        ),
        EvaluationProtocol("msmt17", "camera", _REID, source="Wei et al., CVPR 2018"),
        EvaluationProtocol(
            "veri776", "camera", ("mAP", "recall@1", "recall@5"), source="Liu et al., ECCV 2016"
        ),
        EvaluationProtocol(
            "veri-wild", "camera", ("mAP", "recall@1", "recall@5"), source="Lou et al., CVPR 2019"
        ),
        EvaluationProtocol(
            "vehicleid", "nothing", ("recall@1", "recall@5", "mAP"), num_galleries=10,
            source="Liu et al., CVPR 2016; means over ten random galleries",
        ),
        EvaluationProtocol(
            "sop", "self", ("recall@1", "recall@10", "recall@100", "recall@1000"),
            source="Song et al., CVPR 2016",
        ),
        EvaluationProtocol(
            "cub", "self", ("recall@1", "recall@2", "recall@4", "recall@8", "mAP@R", "R-Precision"),
            source="Song et al., CVPR 2016; Musgrave et al., ECCV 2020 (also Cars-196)",
        ),
        EvaluationProtocol(
            "inshop", "nothing", ("recall@1", "recall@10", "recall@20", "recall@30", "recall@50"),
            source="Liu et al., CVPR 2016",
        ),
    )
}  # fmt: skip


def protocol_by_name(name: str) -> EvaluationProtocol:
    """Return a convention.

    Raises:
        ConfigError: If none has the name.

    Example:
        >>> protocol_by_name("SOP").excludes
        'self'
    """
    found = PROTOCOLS.get(name.strip().lower())
    if found is None:
        raise ConfigError(
            f"no protocol is called '{name}'.{nearest(name, PROTOCOLS)} Known: "
            f"{', '.join(PROTOCOLS)}."
        )
    return found
