"""The ``Arch`` section to one model, or to several that learn together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from lookalike.assembly.model import BuiltModel, build_model
from lookalike.assembly.weight_files import Receiver, read_model
from lookalike.config.schema import AnyArch, ArchSection, DistillationSection
from lookalike.models.distillation_model import DistillationModel
from lookalike.models.loading import load_state


@dataclass
class BuiltModels:
    """What is trained, and each model in it.

    Attributes:
        model: An EmbeddingModel, or a DistillationModel of several.
        by_name: Each one as it was built; a single model's name is empty.
    """

    model: nn.Module
    by_name: dict[str, BuiltModel]

    @property
    def parts(self) -> list[BuiltModel]:
        """Each model as it was built."""
        return list(self.by_name.values())

    @property
    def chosen(self) -> BuiltModel:
        """The one that makes the embeddings."""
        name = self.model.chosen_name if isinstance(self.model, DistillationModel) else ""
        return self.by_name[name]

    @property
    def receivers(self) -> dict[str, Receiver]:
        """What weights are read for."""
        return {
            name: Receiver(part.arch.Backbone.name, part.model)
            for name, part in self.by_name.items()
        }

    @property
    def shapes(self) -> dict[str, list[int]]:
        """Stage to the shape it returns for a batch of one, in order."""
        return {
            f"{name}.{stage}" if name else stage: shape
            for name, part in self.by_name.items()
            for stage, shape in part.shapes.items()
        }

    @property
    def notes(self) -> list[str]:
        """What was noticed while building; the same of two models once."""
        return list(dict.fromkeys(note for part in self.parts for note in part.notes))


def build_any_model(
    arch: AnyArch,
    *,
    image_shape: Sequence[int] = (3, 224, 224),
    allow_import: Sequence[str] = (),
    need_weights: bool = True,
    allow_missing: Sequence[str] = (),
) -> BuiltModels:
    """Build what the section asks for; arguments and errors as for ``build_model``.

    ``allow_missing`` are patterns of tensors that files of ``pretrained_list`` may lack.
    """

    def build(section: ArchSection) -> BuiltModel:
        return build_model(
            section, image_shape=image_shape, allow_import=allow_import, need_weights=need_weights
        )

    if isinstance(arch, ArchSection):
        built = build(arch)
        return BuiltModels(built.model, {"": built})
    by_name = {name: build(section) for name, section in arch.members.items()}
    if need_weights:
        _load_each(arch, by_name, allow_missing)
    frozen = zip(by_name, arch.freeze_params_list or [False] * len(by_name), strict=True)
    model = DistillationModel(
        {name: part.model for name, part in by_name.items()},
        frozen=[name for name, is_frozen in frozen if is_frozen],
        chosen=arch.infer_model_name,
    )
    return BuiltModels(model, by_name)


def _load_each(
    arch: DistillationSection, by_name: dict[str, BuiltModel], allow_missing: Sequence[str]
) -> None:
    """Load ``pretrained_list``, one weight file or nothing per model."""
    for part, source in zip(by_name.values(), arch.pretrained_list or (), strict=False):
        if source is not None:
            part.weights = load_state(
                part.model,
                read_model(source, {"": Receiver(part.arch.Backbone.name, part.model)}),
                source=source,
                allow_missing=allow_missing,
                allow_left_over=allow_missing,
            )
            part.loaded |= set(part.weights.loaded)
