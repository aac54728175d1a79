"""Data sets, transforms, samplers and mixtures from their specs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from lookalike.assembly.beside import beside_of
from lookalike.assembly.prepare import TRANSFORM_WORDS, inner_components, mixtures_of, require
from lookalike.config import ComponentSpec
from lookalike.config.specs import SamplerSpec
from lookalike.data.label_files import outside_allowed
from lookalike.data.transforms import Pipeline
from lookalike.data.transforms.batch_mix import Mixture
from lookalike.errors import ComponentError, ConfigError


def make_pipeline(
    specs: Iterable[Any] | None, allow_import: Sequence[str] = (), **runtime: Any
) -> Pipeline:
    """Build a chain of transforms."""
    parsed = [ComponentSpec.model_validate(raw) for raw in specs or ()]
    return Pipeline(
        [require("transform", spec, allow_import).make(**runtime) for spec in parsed],
        description=json.dumps([[spec.name, spec.args] for spec in parsed], default=repr),
    )


def make_dataset(
    spec: ComponentSpec,
    allow_import: Sequence[str] = (),
    *,
    transforms: Pipeline | None = None,
) -> Any:
    """Build a data set with its transforms; ``transforms`` takes the place of its own.

    ``allow_outside: True`` beside its arguments lets its list name files outside of its root.
    """
    ready = require("dataset", spec, allow_import)
    outside = beside_of("dataset", spec.args)[0].get("allow_outside", False)
    inner = inner_components("dataset", spec, "datasets")
    provided = {
        "transforms": transforms or transforms_of(spec, allow_import),
        "datasets": [make_dataset(one.spec, allow_import, transforms=transforms) for one in inner],
    }
    with outside_allowed(outside):
        return ready.make(**ready.accepts(provided))


def transforms_of(spec: ComponentSpec, allow_import: Sequence[str] = ()) -> Pipeline:
    """Build only the transforms of a data set; of several, those of the first."""
    return make_pipeline(listed_transforms(spec), allow_import)


def listed_transforms(spec: ComponentSpec) -> list[Any]:
    """Return the transforms of a data set as the YAML has them; of several, those of the first."""
    if inner := inner_components("dataset", spec, "datasets"):
        return listed_transforms(inner[0].spec)
    return next((spec.args[word] for word in TRANSFORM_WORDS if spec.args.get(word)), [])


def make_sampler(
    spec: SamplerSpec,
    labels: Sequence[int],
    *,
    cameras: Sequence[int] | None = None,
    seed: int = 0,
    sizes: Sequence[int] | None = None,
    allow_import: Sequence[str] = (),
    processes: int = 1,
) -> Any:
    """Build a sampler for a data set with these labels, and cameras, and sizes of its parts.

    With several processes it plans the batches of all of them, so they never meet.
    """
    ready = require("sampler", _for_all(spec, processes), allow_import)
    if "cameras" in ready.signature.required and cameras is None:
        raise ConfigError(f"sampler {spec.name} needs a list with cameras (a third column).")
    provided: dict[str, Any] = {"labels": labels, "cameras": cameras, "seed": seed}
    if "samplers" in ready.signature.required:
        provided |= _parts(spec, labels, cameras, seed, sizes, allow_import, processes)
    try:
        sampler = ready.make(**ready.accepts(provided))
    except ComponentError as error:
        if processes == 1:
            raise
        text = f"{error.detail} A batch is that of all {processes} processes, each with its share."
        raise ComponentError(error.kind, error.name, text) from error
    _check_groups(spec, sampler, processes)
    return sampler


def _check_groups(spec: SamplerSpec, sampler: Any, processes: int) -> None:
    """Refuse shares of a batch that would cut the images of a label apart.

    Raises:
        ComponentError: If a process's share is not a multiple of the images per label.
    """
    group = getattr(sampler, "images_per_label", 1)
    if processes > 1 and (sampler.batch_size // processes) % group:
        raise ComponentError(
            "sampler",
            spec.name,
            f"batch_size is that of each process and must be a multiple of the images per label, "
            f"got {sampler.batch_size // processes} and {group}.",
        )


def _parts(
    spec: SamplerSpec,
    labels: Sequence[int],
    cameras: Sequence[int] | None,
    seed: int,
    sizes: Sequence[int] | None,
    allow_import: Sequence[str],
    processes: int,
) -> dict[str, Any]:
    """Build the samplers of the parts of a mixed data set, each with its share of a batch."""
    inner = inner_components("sampler", spec, "samplers")
    if sizes is None or len(sizes) != len(inner):
        raise ConfigError(
            f"sampler {spec.name} needs the data set MixDataset, with one of its data sets for "
            f"each of the {len(inner)} sample_configs."
        )
    batch_size = spec.args["batch_size"]
    shares = [int(batch_size * float(one.beside.get("ratio", 0.0))) for one in inner[:-1]]
    shares.append(batch_size - sum(shares))
    samplers, start = [], 0
    for number, (one, size, share) in enumerate(zip(inner, sizes, shares, strict=True)):
        args = {**one.spec.args, "batch_size": share}
        part = slice(start, start + size)
        samplers.append(
            make_sampler(
                SamplerSpec(**{"name": one.spec.name, **args}),
                labels[part],
                cameras=None if cameras is None else cameras[part],
                seed=seed + number,
                allow_import=allow_import,
                processes=processes,
            )
        )
        start += size
    whole = [share * processes for share in shares]
    return {"samplers": samplers, "sizes": list(sizes), "shares": whole}


def _for_all(spec: SamplerSpec, processes: int) -> SamplerSpec:
    """Return the spec with the batch size of all processes together."""
    size = spec.args.get("batch_size")
    if processes == 1 or not isinstance(size, int):
        return spec
    return spec.model_copy(update={"args": {**spec.args, "batch_size": size * processes}})


def make_mixing(
    dataset: ComponentSpec, num_classes: int | None, allow_import: Sequence[str] = ()
) -> Mixture | None:
    """Build the mixture of a data set's batches, if it has one."""
    mixtures = [make_mixture(one.spec, num_classes, allow_import) for one in mixtures_of(dataset)]
    return mixtures[0] if mixtures else None


def make_mixture(
    spec: ComponentSpec, num_classes: int | None = None, allow_import: Sequence[str] = ()
) -> Mixture:
    """Build a mixture; ``num_classes`` counts where the spec does not say it."""
    known = {} if num_classes is None else {"num_classes": num_classes}
    ready = require("mixture", spec, allow_import, provided=list(known))
    inner = inner_components("mixture", spec, "mixtures")
    classes = ready.args.get("num_classes", num_classes)
    mixtures = [
        (make_mixture(one.spec, classes, allow_import), float(one.beside.get("prob", 0.0)))
        for one in inner
    ]
    given = {} if "num_classes" in ready.args else known
    mixture: Mixture = ready.make(**given, **ready.accepts({"mixtures": mixtures}))
    return mixture
