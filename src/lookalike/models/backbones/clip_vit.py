"""The image towers of CLIP, timm's, with the reference's way from tokens to embedding."""

from __future__ import annotations

from functools import partial
from typing import Any

from timm.layers.norm import LayerNorm
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from lookalike.models.initialise import initialise_layers

_OUTPUT = 512


class ClipTower(VisionTransformer):
    """CLIP's vision transformer that returns projected tokens, their mean, or logits.

    Args:
        num_classes: Width of the classifier, which reads the class token.
        return_embed: Return projected tokens instead of logits.
        return_mean_embed: Return their mean.
        drop_class_token: Do not project the class token.
        quick_gelu: Activate with the approximation of GELU that CLIP was trained with.
        **sizes: Passed on to timm's class.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        return_embed: bool,
        return_mean_embed: bool,
        drop_class_token: bool,
        quick_gelu: bool = False,
        **sizes: Any,
    ) -> None:
        super().__init__(
            num_classes=num_classes,
            pre_norm=True,
            norm_layer=partial(LayerNorm, eps=1e-5),
            act_layer="quick_gelu" if quick_gelu else "gelu",
            dynamic_img_size=True,
            **sizes,
        )
        self.return_embed, self.return_mean_embed = return_embed, return_mean_embed
        self.drop_class_token = drop_class_token
        initialise_layers(self, linear=_truncated)
        for embedding in (self.pos_embed, self.cls_token):
            assert embedding is not None
            nn.init.trunc_normal_(embedding, std=0.02)
        if return_embed:
            self.head = nn.Linear(self.embed_dim, _OUTPUT, bias=False)
            nn.init.normal_(self.head.weight, std=self.embed_dim**-0.5)

    def forward_head(self, tokens: Tensor, pre_logits: bool = False) -> Tensor:
        """Project the normalised tokens ``[B, 1 + N, width]``, the class token being the first."""
        if not self.return_embed:
            return self.head(tokens[:, 0])  # type: ignore[no-any-return]
        embeddings: Tensor = self.head(tokens[:, 1:] if self.drop_class_token else tokens)
        return embeddings.mean(1) if self.return_mean_embed else embeddings


def _truncated(layer: nn.Linear) -> None:
    nn.init.trunc_normal_(layer.weight, std=0.02)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def clip_vit_base_patch16(
    num_classes: int = 1000,
    *,
    return_embed: bool = False,
    return_mean_embed: bool = False,
    quick_gelu: bool = False,
) -> ClipTower:
    """Build CLIP's ViT-B/16.

    Source: Radford et al., "Learning Transferable Visual Models From Natural Language
    Supervision", ICML 2021. https://arxiv.org/abs/2103.00020

    Args:
        num_classes: Width of the classifier, which reads the class token.
        return_embed: Return the patch tokens, projected to 512, instead of logits.
        return_mean_embed: Return the mean of these, ``[B, 512]``.
        quick_gelu: Activate with ``x sigmoid(1.702 x)``, as OpenAI's weights need it; the
            reference computes GELU exactly.
    """
    return ClipTower(
        num_classes,
        return_embed=return_embed,
        return_mean_embed=return_mean_embed,
        quick_gelu=quick_gelu,
        drop_class_token=True,
        patch_size=16,
        embed_dim=768,
        depth=12,
        num_heads=12,
    )


def clip_vit_large_patch14(
    num_classes: int = 1000,
    *,
    return_embed: bool = False,
    return_mean_embed: bool = False,
    quick_gelu: bool = False,
) -> ClipTower:
    """Build CLIP's ViT-L/14.

    Source: Radford et al., "Learning Transferable Visual Models From Natural Language
    Supervision", ICML 2021. https://arxiv.org/abs/2103.00020

    Args:
        num_classes: Width of the classifier, which reads the class token.
        return_embed: Return all tokens, the class token too, projected to 512, instead of logits.
        return_mean_embed: Return the mean of these, ``[B, 512]``.
        quick_gelu: Activate with ``x sigmoid(1.702 x)``, as OpenAI's weights need it; the
            reference computes GELU exactly.
    """
    return ClipTower(
        num_classes,
        return_embed=return_embed,
        return_mean_embed=return_mean_embed,
        quick_gelu=quick_gelu,
        drop_class_token=False,
        patch_size=14,
        embed_dim=1024,
        depth=24,
        num_heads=16,
    )
