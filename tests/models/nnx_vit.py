"""A vision transformer as Flax's documentation writes it (JAX AI Stack, "Vision Transformer with NNX"), small."""

import jax.numpy as jnp
from flax import nnx


class TransformerEncoder(nnx.Module):
    def __init__(self, hidden_size, mlp_dim, num_heads, *, rngs):
        self.norm1 = nnx.LayerNorm(hidden_size, rngs=rngs)
        self.attn = nnx.MultiHeadAttention(
            num_heads=num_heads, in_features=hidden_size, broadcast_dropout=False, decode=False, rngs=rngs
        )
        self.norm2 = nnx.LayerNorm(hidden_size, rngs=rngs)
        self.mlp = nnx.Sequential(
            nnx.Linear(hidden_size, mlp_dim, rngs=rngs),
            nnx.gelu,
            nnx.Linear(mlp_dim, hidden_size, rngs=rngs),
        )

    def __call__(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class VisionTransformer(nnx.Module):
    def __init__(self, image_size, patch_size, hidden_size=12, layers=2, classes=5, *, rngs):
        patches = (image_size[0] // patch_size) * (image_size[1] // patch_size)
        self.patch_embeddings = nnx.Conv(
            3, hidden_size, (patch_size, patch_size), (patch_size, patch_size), padding="VALID", rngs=rngs
        )
        initializer = nnx.initializers.truncated_normal(stddev=0.2)
        self.position_embeddings = nnx.Param(
            initializer(rngs.params(), (1, patches + 1, hidden_size), jnp.float32)
        )
        self.cls_token = nnx.Param(initializer(rngs.params(), (1, 1, hidden_size), jnp.float32))
        self.encoder = nnx.Sequential(*[TransformerEncoder(hidden_size, 24, 3, rngs=rngs) for _ in range(layers)])
        self.final_norm = nnx.LayerNorm(hidden_size, rngs=rngs)
        self.classifier = nnx.Linear(hidden_size, classes, rngs=rngs)

    def __call__(self, x):
        patches = self.patch_embeddings(x)
        batch_size = patches.shape[0]
        patches = patches.reshape(batch_size, -1, patches.shape[-1])
        cls_token = jnp.tile(self.cls_token[...], [batch_size, 1, 1])
        x = jnp.concat([cls_token, patches], axis=1)
        x = self.encoder(x + self.position_embeddings[...])
        return self.classifier(self.final_norm(x)[:, 0])

    def after_first_block(self, tokens):
        """What follows the first of two blocks."""
        return self.classifier(self.final_norm(self.encoder.layers[1](tokens))[:, 0])
