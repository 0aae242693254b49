"""ViT-B/16, its layers named as in torchvision: ``conv_proj``, ``encoder_layer_0``, ... ``ln``, ``head``.

``tokens`` is what the encoder takes: the class token and the patches row by row, each with its position's
embedding. Inside a block are ``ln_1``, ``self_attention`` (``in_proj``, ``out_proj``), ``ln_2``, ``mlp_1``,
``gelu`` and ``mlp_2``. The class token alone goes on to ``head``, so of the last block the patches count until its
attention and no further: ``encoder_layer_11/ln_1`` is the last layer at which they have a gradient.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gradcam_jax.errors import InputError
from gradcam_jax.models.convolution import Convolution
from gradcam_jax.models.layers import Relu, require_image
from gradcam_jax.models.parameter import parameter


class Tokens(nn.Module):
    """Puts a class token before the patches, and adds to each token its position's embedding."""

    @nn.compact
    def __call__(self, patches: jax.Array) -> jax.Array:
        """Maps ``(..., rows, columns, k)`` to ``(..., 1 + rows * columns, k)``."""
        *lead, rows, columns, width = patches.shape
        class_token = parameter(self, "class_token", nn.initializers.zeros_init(), (1, 1, width))
        shape = (1, 1 + rows * columns, width)
        positions = parameter(self, "pos_embedding", nn.initializers.normal(0.02), shape)
        first = jnp.broadcast_to(class_token.reshape(width), (*lead, 1, width))
        x = jnp.concatenate([first, patches.reshape((*lead, rows * columns, width))], axis=-2)
        return x + jnp.broadcast_to(positions[0], x.shape)


class SelfAttention(nn.Module):
    """Attention of every token to every token, with the projections of all heads in one matrix, as in torch.

    Attributes:
        heads: Number of heads.
    """

    heads: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps ``(..., tokens, k)`` to the same shape."""
        width = x.shape[-1]
        projected = nn.Dense(3 * width, name="in_proj")(x)
        by_head = projected.reshape((*x.shape[:-1], 3, self.heads, width // self.heads))
        query, key, value = (by_head[..., index, :, :] for index in range(3))
        scale = jnp.asarray((width // self.heads) ** -0.5, x.dtype)
        similarities = jnp.einsum("...qhc,...khc->...hqk", query * scale, key)
        if x.dtype == jnp.bfloat16:  # whose softmax would not add up to one
            similarities = similarities.astype(jnp.float32)
        weights = jax.nn.softmax(similarities).astype(x.dtype)
        mixed = jnp.einsum("...hqk,...khc->...qhc", weights, value).reshape(x.shape)
        return nn.Dense(width, name="out_proj")(mixed)


class EncoderBlock(nn.Module):
    """Attention, then two fully connected layers, each after a normalisation and added to its input.

    Attributes:
        heads: Heads of the attention.
        hidden: Width between the two fully connected layers.
    """

    heads: int
    hidden: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps ``(..., tokens, k)`` to the same shape."""
        x = x + SelfAttention(self.heads, name="self_attention")(_layer_norm("ln_1")(x))
        y = nn.Dense(self.hidden, name="mlp_1")(_layer_norm("ln_2")(x))
        return x + nn.Dense(x.shape[-1], name="mlp_2")(Relu(_gelu, name="gelu")(y))


class VisionTransformer(nn.Module):
    """A vision transformer in evaluation mode.

    Attributes:
        patch_size: Side of a patch, in pixels.
        width: Channels of a token.
        layers: Number of blocks.
        heads: Heads of each attention.
        hidden: Width between each block's two fully connected layers.
        classes: Number of logits, or None to return the class token's features without a classifier.
        input_size: The only size of the images, in pixels: a position embedding belongs to each patch.

    References:
        Dosovitskiy et al., An Image is Worth 16x16 Words, arXiv:2010.11929; torchvision ``vit_b_16``.
    """

    patch_size: int = 16
    width: int = 768
    layers: int = 12
    heads: int = 12
    hidden: int = 3072
    classes: int | None = 1000
    input_size: int = 224

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Maps preprocessed images ``(..., H, W, 3)`` to logits ``(..., classes)``, or to features."""
        require_image(x, "ViT")
        if x.shape[-3:-1] != (self.input_size, self.input_size):
            raise InputError(
                f"ViT takes images of {self.input_size}x{self.input_size} only, got {x.shape[-3]}x{x.shape[-2]} "
                "instead: it has a position embedding for every patch."
            )
        x = Convolution(self.width, self.patch_size, self.patch_size, 0, name="conv_proj")(x)
        x = Tokens(name="tokens")(x)
        for index in range(self.layers):
            x = EncoderBlock(self.heads, self.hidden, name=f"encoder_layer_{index}")(x)
        x = _layer_norm("ln")(x)[..., 0, :]
        return x if self.classes is None else nn.Dense(self.classes, name="head")(x)


def vit_b_16_torchvision(**fields: Any) -> VisionTransformer:
    """Returns ViT-B/16 as torchvision computes it, for 224x224."""
    return VisionTransformer(**fields)


def _layer_norm(name: str) -> nn.LayerNorm:
    return nn.LayerNorm(epsilon=1e-6, use_fast_variance=False, name=name)


def _gelu(x: jax.Array) -> jax.Array:
    return jax.nn.gelu(x, approximate=False)
