"""The typed frame of a run: which sections and keys exist, and what type each has.

Components stay open (``name`` and ``args``): their arguments are checked against their own
constructors, which own the defaults. The keys are those of PaddleClas's ``RecModel`` YAML; what
each means there is described beside the component that reads it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from lookalike.config.global_section import GlobalSection
from lookalike.config.specs import (
    ComponentSpec,
    Frame,
    NonNegativeInt,
    OptimizerSpec,
    PositiveInt,
    SamplerSpec,
)


class StopLayerSection(Frame):
    """Where the backbone is cut."""

    name: str


class ArchSection(Frame):
    """The model."""

    name: Literal["RecModel"] = "RecModel"
    Backbone: ComponentSpec
    BackboneStopLayer: StopLayerSection | None = None
    Neck: ComponentSpec | None = None
    Head: ComponentSpec | None = None
    head_feature_from: Literal["neck", "backbone"] = "neck"
    infer_output_key: Literal["features", "logits", "backbone"] | None = None
    infer_add_softmax: bool = True
    is_rec: bool | None = None
    use_sync_bn: bool = False


class DistillationSection(Frame):
    """Several models that learn together; each is a section of its own, under its name."""

    name: Literal["DistillationModel"]
    models: Annotated[list[dict[str, ArchSection]], Field(min_length=1)]
    freeze_params_list: list[bool] | None = None
    pretrained_list: list[str | None] | None = None
    infer_model_name: str = "Student"
    infer_output_key: Literal["features", "logits", "backbone"] | None = None
    infer_add_softmax: bool = True
    is_rec: bool | None = None

    @property
    def members(self) -> dict[str, ArchSection]:
        """The models by name."""
        return {name: arch for one in self.models for name, arch in one.items()}

    @model_validator(mode="after")
    def _fits(self) -> DistillationSection:
        names = list(self.members)
        if len(names) != len(self.models) or any(len(one) != 1 for one in self.models):
            raise PydanticCustomError("models", "write each model as '- Name:' with its own name")
        if self.infer_model_name not in names:
            raise PydanticCustomError(
                "models",
                "infer_model_name '{chosen}' is none of the models: {names}",
                {"chosen": self.infer_model_name, "names": ", ".join(names)},
            )
        for key in ("freeze_params_list", "pretrained_list"):
            given = getattr(self, key)
            if given is not None and len(given) != len(names):
                raise PydanticCustomError(
                    "models",
                    "{key} needs one entry for each of the {number} models",
                    {"key": key, "number": len(names)},
                )
        return self


def _arch_kind(value: Any) -> str:
    name = value.get("name") if isinstance(value, dict) else getattr(value, "name", None)
    return "several" if name == "DistillationModel" else "one"


AnyArch = Annotated[
    Annotated[ArchSection, Tag("one")] | Annotated[DistillationSection, Tag("several")],
    Discriminator(_arch_kind),
]


class LossSection(Frame):
    """Weighted sums; only ``eval_mode: classification`` computes ``Eval``."""

    Train: Annotated[list[ComponentSpec], Field(min_length=1)] = []  # an evaluation has none
    Eval: list[ComponentSpec] = []
    # the three parts of train_mode metabin, in place of Train
    Basic: list[ComponentSpec] = []
    MetaTrain: list[ComponentSpec] = []
    MetaTest: list[ComponentSpec] = []


class MetricSection(Frame):
    """Metrics; the first one under ``Eval`` chooses the best checkpoint."""

    Train: list[ComponentSpec] = []
    Eval: list[ComponentSpec] = []


class LoaderArgs(Frame):
    """How batches are fetched."""

    num_workers: NonNegativeInt = 4
    prefetch_factor: PositiveInt | None = None


class SplitSection(Frame):
    """A data set, the order it is read in, and how it is read."""

    dataset: ComponentSpec
    sampler: SamplerSpec
    loader: LoaderArgs = LoaderArgs()


class EvalSection(Frame):
    """Query and gallery, or one split that is both (retrieval) or is classified."""

    Query: SplitSection | None = None
    Gallery: SplitSection | None = None
    single: SplitSection | None = None

    @property
    def queries(self) -> SplitSection:
        """The split that is asked with: the queries, or the only one."""
        split = self.single or self.Query
        assert split is not None
        return split

    @model_validator(mode="before")
    @classmethod
    def _three_spellings(cls, value: Any) -> Any:
        if isinstance(value, dict) and "dataset" in value:
            return {"single": value}
        if isinstance(value, dict) and len(value) == 1:
            ((key, split),) = value.items()
            if key in ("Train", "Eval", "Test", "Gallery", "Query"):
                return {"single": split}
        return value

    @model_validator(mode="after")
    def _complete(self) -> EvalSection:
        if self.single is None and (self.Query is None or self.Gallery is None):
            raise PydanticCustomError("eval", "Query and Gallery expected, or one data set")
        return self


class MetaSection(Frame):
    """The batches that train_mode metabin splits by domain."""

    Train: SplitSection


class DataLoaderSection(Frame):
    """The data; evaluation needs ``Eval``."""

    Train: SplitSection | None = None
    Metalearning: MetaSection | None = None
    Eval: EvalSection | None = None


class AmpSection(Frame):
    """Mixed precision; the section alone switches it on."""

    use_amp: bool = True
    level: Literal["O1", "O2"] = "O1"
    dtype: Literal["float16", "bfloat16"] | None = None
    scale_loss: Annotated[float, Field(gt=0.0, allow_inf_nan=False)] = 1.0
    use_dynamic_loss_scaling: bool = False


class EmaSection(Frame):
    """A running average of the weights."""

    decay: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.9999


class PruneSection(Frame):
    """Filters taken out before training."""

    name: Literal["fpgm", "l1_norm"] = "fpgm"
    pruned_ratio: Annotated[float, Field(gt=0.0, lt=1.0)]


class QuantSection(Frame):
    """Training with the rounding of 8-bit integers."""

    name: Literal["pact", "plain"] = "pact"


class SlimSection(Frame):
    """Smaller models."""

    prune: PruneSection | None = None
    quant: QuantSection | None = None


class RunConfig(Frame):
    """A whole run."""

    Global: GlobalSection
    Arch: AnyArch
    AMP: AmpSection = AmpSection(use_amp=False)
    EMA: EmaSection | None = None
    Slim: SlimSection = SlimSection()
    Loss: LossSection | None = None
    Optimizer: list[OptimizerSpec] = []
    DataLoader: DataLoaderSection = DataLoaderSection()
    Metric: MetricSection = MetricSection()

    @model_validator(mode="before")
    @classmethod
    def _one_optimizer(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("Optimizer"), dict):
            return {**value, "Optimizer": [value["Optimizer"]]}
        return value
