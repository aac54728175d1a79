"""Several models that learn together from the same images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from lookalike.types import ModelOutput


class DistillationModel(nn.Module):
    """Give every model the same images; losses compare what they return.

    Args:
        models: By name, such as Student and Teacher.
        frozen: Names of models that do not learn. Their running statistics still follow the
            training images, as in the reference.
        chosen: The model that is evaluated and exported.

    Shape:
        - images: ``[B, 3, H, W]``; labels: ``[B]``.
        - output: Each model's own output, by its name.

    Example:
        >>> model = DistillationModel({"Student": nn.Identity()}, chosen="Student")
        >>> model.chosen
        Identity()
    """

    def __init__(
        self, models: Mapping[str, nn.Module], *, frozen: Sequence[str] = (), chosen: str
    ) -> None:
        super().__init__()
        self.models = nn.ModuleDict(models)
        self.chosen_name = chosen
        for name in frozen:
            self.models[name].requires_grad_(False)

    @property
    def chosen(self) -> nn.Module:
        """The model that is evaluated and exported."""
        return self.models[self.chosen_name]

    def forward(self, images: Tensor, labels: Tensor | None = None) -> ModelOutput:
        return {name: model(images, labels) for name, model in self.models.items()}


def chosen_model(model: nn.Module) -> nn.Module:
    """Return the model that makes the embeddings: of several, the chosen one."""
    return model.chosen if isinstance(model, DistillationModel) else model
