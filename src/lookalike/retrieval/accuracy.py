"""Metrics of a classifier, with one class per image or several, from its logits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from torch import Tensor

from lookalike.retrieval.metric import cut_offs
from lookalike.types import PartialLogits


class TopKAccuracy:
    """Share of images whose class is among the k largest logits.

    With a margin head the training logits of the true class are lowered on purpose, so the
    accuracy shown during training is pessimistic. With a head's ``sample_rate`` it is among the
    classes that took part.

    Args:
        k: Cut-offs; a k above the number of classes counts every image.

    Example:
        >>> import torch
        >>> TopKAccuracy([1, 2])(torch.tensor([[0.1, 0.9], [0.8, 0.2]]), torch.tensor([1, 1]))
        {'top1': tensor(0.5000), 'top2': tensor(1.)}
    """

    def __init__(self, k: int | Sequence[int] = (1, 5)) -> None:
        self.ks = cut_offs(k)

    def __call__(self, output: Mapping[str, Any] | Tensor, labels: Tensor) -> dict[str, Tensor]:
        logits = output if isinstance(output, Tensor) else output["logits"]
        if isinstance(logits, PartialLogits):
            return self._of_ranks(logits)
        labels = labels.reshape(-1, 1)
        deepest = min(max(self.ks), logits.shape[1])
        hits = logits.topk(deepest, dim=1).indices == labels
        return {f"top{k}": hits[:, : min(k, deepest)].any(dim=1).float().mean() for k in self.ks}

    def _of_ranks(self, logits: PartialLogits) -> dict[str, Tensor]:
        if logits.ranks is None:
            raise ValueError("TopkAcc of logits in parts needs the loss CELoss computed before.")
        return {f"top{k}": (logits.ranks < k).float().mean() for k in self.ks}


class DistillationTopKAccuracy(TopKAccuracy):
    """TopKAccuracy of one of the models of a DistillationModel.

    Args:
        model_key: Which model.
        feature_key: Which of its outputs; ``logits`` if null.
        k: Cut-offs; a k above the number of classes counts every image.

    Raises:
        ValueError: If the output has no such model, or the model no such output.

    Example:
        >>> import torch
        >>> output = {"Student": {"logits": torch.tensor([[0.1, 0.9]])}}
        >>> DistillationTopKAccuracy("Student", k=1)(output, torch.tensor([1]))
        {'top1': tensor(1.)}
    """

    def __init__(
        self, model_key: str, feature_key: str | None = None, k: int | Sequence[int] = (1, 5)
    ) -> None:
        super().__init__(k)
        self.path = (model_key, feature_key or "logits")

    def __call__(self, output: Mapping[str, Any] | Tensor, labels: Tensor) -> dict[str, Tensor]:
        found: Any = output
        for key in self.path if isinstance(output, Mapping) else ():
            if isinstance(found, Mapping) and key not in found:
                known = ", ".join(found)
                raise ValueError(f"DistillationTopkAcc reads '{key}'; there is {known}.")
            found = found[key] if isinstance(found, Mapping) else found
        return super().__call__(found, labels)


class HammingDistance:
    """Share of wrong answers when each class is a question of its own.

    A class is taken for present where the sigmoid of its logit is above 0.5.

    Shape:
        - logits: ``[B, C]``; labels: ``[B, C]`` of 0 and 1.

    Example:
        >>> import torch
        >>> HammingDistance()(torch.tensor([[2.0, -1.0]]), torch.tensor([[1, 1]]))
        {'HammingDistance': tensor(0.5000)}
    """

    def __call__(self, output: Mapping[str, Any] | Tensor, labels: Tensor) -> dict[str, Tensor]:
        wrong = _present(output, labels, "HammingDistance") != labels.bool()
        return {"HammingDistance": wrong.float().mean()}


class AccuracyScore:
    """Share of right answers when an image may have several classes.

    Args:
        base: ``label`` counts each class of each image, ``sample`` only images whose classes are
            all right.

    Shape:
        - logits: ``[B, C]``; labels: ``[B, C]`` of 0 and 1.

    Example:
        >>> import torch
        >>> AccuracyScore("sample")(torch.tensor([[2.0, -1.0]]), torch.tensor([[1, 1]]))
        {'AccuracyScore': tensor(0.)}
    """

    def __init__(self, base: Literal["label", "sample"] = "label") -> None:
        self.base = base

    def __call__(self, output: Mapping[str, Any] | Tensor, labels: Tensor) -> dict[str, Tensor]:
        right = _present(output, labels, "AccuracyScore") == labels.bool()
        counted = right if self.base == "label" else right.all(dim=1)
        return {"AccuracyScore": counted.float().mean()}


def _present(output: Mapping[str, Any] | Tensor, labels: Tensor, metric: str) -> Tensor:
    logits: Tensor = output if isinstance(output, Tensor) else output["logits"]
    if labels.shape != logits.shape:
        raise ValueError(
            f"{metric} needs a 0 or 1 for each class of an image, {list(logits.shape)}; the labels "
            f"are {list(labels.shape)}. With one class per image use TopkAcc."
        )
    return logits > 0.0
