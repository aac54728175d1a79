"""Training with the rounding of 8-bit integers, so that the weights learn to live with it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lookalike.errors import ConfigError, SetupError
from lookalike.models.embedding_model import EmbeddingModel
from lookalike.types import ParamRule

_LEVELS = 127


class QuantizedConv2d(nn.Conv2d):
    """A convolution whose input and weight are rounded to 8 bits; gradients pass through."""

    quantize_input: nn.Module
    quantize_weight: nn.Module

    def forward(self, images: Tensor) -> Tensor:
        weight: Tensor = self.quantize_weight(self.weight)
        output: Tensor = self._conv_forward(self.quantize_input(images), weight, self.bias)
        return output


class QuantizedLinear(nn.Linear):
    """A linear layer whose input and weight are rounded to 8 bits; gradients pass through."""

    quantize_input: nn.Module
    quantize_weight: nn.Module

    def forward(self, features: Tensor) -> Tensor:
        weight = self.quantize_weight(self.weight)
        return nn.functional.linear(self.quantize_input(features), weight, self.bias)


_QUANTIZED: dict[type[nn.Module], type[nn.Module]] = {
    nn.Conv2d: QuantizedConv2d,
    nn.Linear: QuantizedLinear,
}


class Rounding(nn.Module):
    """Round to 8 bits with a scale that follows the data in training and stays in evaluation.

    Args:
        per_channel: One scale for each output channel, from the current weight; else one scale for
            all, a running average of the largest magnitude.
        clip: Clip to a learned bound first (PACT).
    """

    def __init__(self, *, per_channel: bool, clip: bool = False) -> None:
        super().__init__()
        self.fake: Any = _fake_quantize(per_channel)
        self.bound = nn.Parameter(torch.tensor(20.0)) if clip else None
        if clip:
            self.param_rules = {"bound": ParamRule(weight_decay=2e-5)}
        self.register_buffer("seen", torch.zeros((), dtype=torch.bool))

    def train(self, mode: bool = True) -> Rounding:
        """Let the scale of inputs follow the data, or keep it; that of a weight always follows."""
        super().train(mode)
        self.fake.enable_observer(mode or self.fake.is_per_channel)
        return self

    def forward(self, values: Tensor) -> Tensor:
        values = self.clipped(values)
        if self.training:
            self.seen.fill_(True)  # type: ignore[operator]
        elif not self.seen:
            return values
        rounded: Tensor = self.fake(values)
        return rounded

    def clipped(self, values: Tensor) -> Tensor:
        """Return ``max(-a, min(a, v))``, written so that the bound a has a gradient."""
        if self.bound is None:
            return values
        return values - (values - self.bound).relu() + (-self.bound - values).relu()


class FixedRounding(nn.Module):
    """What a :class:`Rounding` does after training, as integers that an exported file shows."""

    scale: Tensor

    def __init__(self, rounding: Rounding) -> None:
        super().__init__()
        _load_integer_operators()
        self.rounding, self.per_channel = rounding, rounding.fake.is_per_channel
        scale = rounding.fake.scale.detach().clone()
        self.register_buffer("scale", scale)
        self.number = float(scale.reshape(-1)[0])

    def forward(self, values: Tensor) -> Tensor:
        values, ops = self.rounding.clipped(values), torch.ops.quantized_decomposed
        limits = (-_LEVELS, _LEVELS, torch.int8)
        if not self.per_channel:
            # ONNX knows no limits but those of int8, and would go down to -128
            values = values.clamp(-_LEVELS * self.number, _LEVELS * self.number)
            integers = ops.quantize_per_tensor(values, self.number, 0, *limits)
            return ops.dequantize_per_tensor(integers, self.number, 0, *limits)  # type: ignore[no-any-return]
        zeros = torch.zeros_like(self.scale, dtype=torch.int64)
        integers = ops.quantize_per_channel(values, self.scale, zeros, 0, *limits)
        return ops.dequantize_per_channel(integers, self.scale, zeros, 0, *limits)  # type: ignore[no-any-return]


def quantize_for_training(model: EmbeddingModel, *, clip: bool = True) -> int:
    """Make the convolutions and linear layers of backbone and neck round, in place.

    Weights are rounded per output channel by their largest magnitude, inputs by a running average
    of theirs. Parameters keep their names.

    Source: Jacob et al., "Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference", CVPR 2018 (https://arxiv.org/abs/1712.05877); the clipping
    is Choi et al., "PACT", 2018 (https://arxiv.org/abs/1805.06085). Through torchao.

    Args:
        model: Changed.
        clip: Clip inputs to a learned bound.

    Returns:
        How many layers round.

    Raises:
        ConfigError: If there is no such layer, or parallel branches would have to be fused.
        SetupError: If torchao is not installed.
    """
    if any(type(module).__name__ == "RepDepthwiseSeparable" for module in model.modules()):
        raise ConfigError(
            "Slim.quant: this backbone is trained with parallel branches, which are one "
            "convolution afterwards; rounding them one by one would train something else."
        )
    layers = [
        module
        for part in (model.backbone, model.neck)
        if part is not None
        for module in part.modules()
        if type(module) in _QUANTIZED
    ]
    if not layers:
        raise ConfigError("Slim.quant: the model has no plain convolution or linear layer.")
    for layer in layers:
        device = next(layer.parameters()).device
        layer.quantize_input = Rounding(per_channel=False, clip=clip).to(device)
        layer.quantize_weight = Rounding(per_channel=True).to(device)
        with torch.no_grad():
            layer.quantize_weight(layer.weight)  # one scale per channel from the start
        # the same layer with another way of computing: hooks, rules and names stay
        layer.__class__ = _QUANTIZED[type(layer)]
    return len(layers)


def fix_quantization(model: nn.Module) -> None:
    """Replace learned rounding by fixed integers, in place, for export.

    Inputs that have never been seen in training have no range; they are passed on.
    """
    for module in model.modules():
        if isinstance(module, QuantizedConv2d | QuantizedLinear):
            if isinstance(module.quantize_weight, Rounding):
                with torch.no_grad():  # the scale of the weight as it is, not before its last step
                    module.quantize_weight(module.weight)
            for name in ("quantize_input", "quantize_weight"):
                rounding = getattr(module, name)
                if isinstance(rounding, Rounding):
                    fixed = FixedRounding(rounding) if rounding.seen else nn.Identity()
                    setattr(module, name, fixed)


def _fake_quantize(per_channel: bool) -> nn.Module:
    try:
        from torchao.quantization.pt2e import (
            FakeQuantize,
            MovingAverageMinMaxObserver,
            MovingAveragePerChannelMinMaxObserver,
        )
    except ImportError as error:
        raise SetupError("Slim.quant needs a package: pip install 'lookalike[slim]'.") from error
    common = {"quant_min": -_LEVELS, "quant_max": _LEVELS, "dtype": torch.int8}
    if per_channel:
        return FakeQuantize(  # type: ignore[no-any-return]
            observer=MovingAveragePerChannelMinMaxObserver,
            qscheme=torch.per_channel_symmetric,
            ch_axis=0,
            averaging_constant=1.0,  # the current weight alone
            **common,
        )
    return FakeQuantize(  # type: ignore[no-any-return]
        observer=MovingAverageMinMaxObserver,
        qscheme=torch.per_tensor_symmetric,
        averaging_constant=0.1,
        **common,
    )


def _load_integer_operators() -> None:
    import torch.ao.quantization.fx._decomposed  # noqa: F401 - registers the operators
