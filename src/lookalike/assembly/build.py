"""Any component from exactly what a YAML says of it, without a YAML."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from lookalike.assembly import data_parts, parts
from lookalike.assembly.catalog import CATALOG
from lookalike.assembly.dialect import translate_component
from lookalike.assembly.prepare import require
from lookalike.assembly.scopes import modules_in_scope
from lookalike.config import ComponentSpec
from lookalike.config.schema import ArchSection
from lookalike.config.specs import OptimizerSpec, SamplerSpec
from lookalike.errors import ConfigError, nearest


def build(kind: str, spec: Any, *, allow_import: Sequence[str] = (), **runtime: Any) -> Any:
    """Make a component from its YAML spelling.

    Args:
        kind: ``backbone``, ``neck``, ``head``, ``model``, ``loss``, ``metric``, ``dataset``,
            ``transform``, ``mixture``, ``sampler``, ``optimizer`` or ``schedule``.
        spec: As in the YAML: ``{"name": X, ...}`` or ``{X: {...}}``; for ``model`` the ``Arch``
            section; for ``loss``, ``metric``, ``transform`` and ``optimizer`` also a list of specs.
        allow_import: Modules that an import path in the spec may name.
        **runtime: What a YAML cannot know: ``labels`` and ``seed`` for a sampler (and ``sizes``,
            of the parts of a mixed data set); ``num_classes`` for a mixture; ``epochs`` and
            ``steps_per_epoch`` for a schedule or optimizer; ``model`` (and ``loss``) or
            ``parameters`` for an optimizer; ``image_shape`` for a model.

    Returns:
        The object. A list of losses becomes their weighted sum, which returns every term and
        their total under ``loss``; a list of transforms becomes a chain; lists of metrics and
        optimizers stay lists, an optimizer with the parameters that its ``scope`` means.

    Raises:
        ConfigError: If the name or an argument is unknown; tells the nearest one.

    Example:
        >>> head = build("head", {"name": "ArcMargin", "embedding_size": 8, "class_num": 3})
        >>> head.weight.shape
        torch.Size([3, 8])
        >>> build("head", {"ArcMargin": {"embeding_size": 8, "class_num": 3}})
        Traceback (most recent call last):
            ...
        lookalike.errors.ConfigError: head ArcMargin.embeding_size: unknown argument. Did you mean \
'embedding_size'? It takes: chunk_size, easy_margin, embedding_size, gradient, margin, \
num_classes, sample_rate, scale, sharded.
        head ArcMargin.embedding_size: is missing; it has no default.
    """
    if kind not in _BUILDERS:
        raise ConfigError(
            f"there is no kind of component '{kind}'.{nearest(kind, _BUILDERS)} "
            f"Kinds: {', '.join(_BUILDERS)}."
        )
    return _BUILDERS[kind](spec, tuple(allow_import), runtime)


def _component(spec: Any) -> ComponentSpec:
    try:
        return ComponentSpec.model_validate({spec: None} if isinstance(spec, str) else spec)
    except ValueError as error:
        raise ConfigError(f"not a component: {spec!r}. {error}") from error


def _many(spec: Any) -> list[ComponentSpec]:
    return [_component(one) for one in spec]


def _backbone(spec: Any, allow: Sequence[str], runtime: Mapping[str, Any]) -> Any:
    from lookalike.assembly.model import build_backbone

    return build_backbone(_component(spec), allow)[0]


def _gear(kind: str) -> Callable[[Any, Sequence[str], Mapping[str, Any]], Any]:
    def make(spec: Any, allow: Sequence[str], runtime: Mapping[str, Any]) -> Any:
        return parts.make_gear(kind, _component(spec), allow)[0]

    return make


def _model(spec: Any, allow: Sequence[str], runtime: Mapping[str, Any]) -> Any:
    from lookalike.assembly.model import build_model

    return build_model(ArchSection.model_validate(spec), allow_import=allow, **runtime).model


def _loss(spec: Any, allow: Sequence[str], runtime: Mapping[str, Any]) -> Any:
    if isinstance(spec, list):
        return parts.make_loss(_many(spec), allow)
    return require("loss", _component(spec), allow).make(**runtime)


def _metric(spec: Any, allow: Sequence[str], runtime: Mapping[str, Any]) -> Any:
    if isinstance(spec, list):
        return parts.make_metrics(_many(spec), allow)
    return require("metric", _component(spec), allow).make(**runtime)


def _transform(spec: Any, allow: Sequence[str], runtime: Mapping[str, Any]) -> Any:
    if isinstance(spec, list):
        return data_parts.make_pipeline(spec, allow, **runtime)
    component = _component(spec)
    if translate_component("mixture", component.name, {}).name in CATALOG["mixture"]:
        return _mixture(spec, allow, runtime)
    return require("transform", component, allow).make(**runtime)


def _mixture(spec: Any, allow: Sequence[str], runtime: Mapping[str, Any]) -> Any:
    return data_parts.make_mixture(_component(spec), allow_import=allow, **runtime)


def _dataset(spec: Any, allow: Sequence[str], runtime: Mapping[str, Any]) -> Any:
    return data_parts.make_dataset(_component(spec), allow, **runtime)


def _sampler(spec: Any, allow: Sequence[str], runtime: Mapping[str, Any]) -> Any:
    if isinstance(spec, Mapping) and "batch_size" in spec:
        parsed = SamplerSpec.model_validate(spec)
    else:
        component = _component(spec)
        parsed = SamplerSpec(**{"name": component.name, **component.args})
    return data_parts.make_sampler(parsed, allow_import=allow, **runtime)


def _optimizer(spec: Any, allow: Sequence[str], runtime: Mapping[str, Any]) -> Any:
    from torch import nn

    runtime = dict(runtime)
    model, loss = runtime.pop("model", None), runtime.pop("loss", None)
    modules = [module for module in (model, loss) if module is not None]
    if (parameters := runtime.pop("parameters", None)) is not None:
        modules.append(nn.ParameterList(parameters))
    timing = {"epochs": 1, "steps_per_epoch": 1} | runtime

    def make(one: OptimizerSpec, over: Iterable[nn.Module]) -> Any:
        return parts.make_optimizer(one, over, allow_import=allow, **timing)

    if not isinstance(spec, list):
        return make(OptimizerSpec.model_validate(spec), modules)
    if model is None:
        raise ConfigError("a list of optimizers needs model=..., in which to find their scopes.")
    specs = [OptimizerSpec.model_validate(one) for one in spec]
    beside = nn.Module() if loss is None else loss
    return [make(one, modules_in_scope(one.scope, model, beside)) for one in specs]


def _schedule(spec: Any, allow: Sequence[str], runtime: Mapping[str, Any]) -> Any:
    timing = {"epochs": 1, "steps_per_epoch": 1} | dict(runtime)
    return parts.make_schedule(spec, allow_import=allow, **timing)


_BUILDERS: dict[str, Callable[[Any, Sequence[str], Mapping[str, Any]], Any]] = {
    "backbone": _backbone,
    "neck": _gear("neck"),
    "head": _gear("head"),
    "model": _model,
    "loss": _loss,
    "metric": _metric,
    "dataset": _dataset,
    "transform": _transform,
    "mixture": _mixture,
    "sampler": _sampler,
    "optimizer": _optimizer,
    "schedule": _schedule,
}
