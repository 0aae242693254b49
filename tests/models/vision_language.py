"""Two small vision-language models in Flax NNX: with cross-attention, and with image tokens before the text."""

import jax.numpy as jnp
from flax import nnx

WIDTH, HEADS, VOCABULARY, GRID = 12, 3, 11, (3, 4)


class ImageEncoder(nnx.Module):
    """Patches to tokens, with one layer of attention among them."""

    def __init__(self, *, rngs):
        self.patches = nnx.Conv(3, WIDTH, (4, 4), (4, 4), padding="VALID", rngs=rngs)
        self.attention = nnx.MultiHeadAttention(HEADS, WIDTH, decode=False, rngs=rngs)
        self.norm = nnx.LayerNorm(WIDTH, rngs=rngs)

    def __call__(self, images):
        patches = self.patches(images)
        tokens = nnx.gelu(patches.reshape(patches.shape[0], -1, WIDTH))
        return self.norm(tokens + self.attention(tokens))


class Decoder(nnx.Module):
    """Teacher-forced logits ``(n, t, vocabulary)`` of a text's tokens; those at j know the tokens before j."""

    def __init__(self, *, rngs):
        self.encoder = ImageEncoder(rngs=rngs)
        self.embedding = nnx.Embed(VOCABULARY + 1, WIDTH, rngs=rngs)  # the last is the start of the text
        self.self_attention = nnx.MultiHeadAttention(HEADS, WIDTH, decode=False, rngs=rngs)
        self.cross_attention = nnx.MultiHeadAttention(HEADS, WIDTH, decode=False, rngs=rngs)
        self.head = nnx.Linear(WIDTH, VOCABULARY, rngs=rngs)

    def __call__(self, images, tokens):
        return self.decode(self.encoder(images), tokens)

    def before(self, tokens):
        start = jnp.full((*tokens.shape[:-1], 1), VOCABULARY, tokens.dtype)
        return self.embedding(jnp.concatenate([start, tokens[..., :-1]], axis=-1))


class CrossAttending(Decoder):
    def decode(self, image_tokens, tokens):
        text = self.before(tokens)
        text = text + self.self_attention(text, mask=nnx.make_causal_mask(tokens))
        text = text + self.cross_attention(text, image_tokens, image_tokens)
        return self.head(nnx.gelu(text))


class Prefixed(Decoder):
    def decode(self, image_tokens, tokens):
        text = self.before(tokens)
        both = jnp.concatenate([image_tokens, text], axis=1)
        mask = nnx.make_causal_mask(jnp.ones(both.shape[:2]))
        both = both + self.self_attention(both, mask=mask)
        return self.head(nnx.gelu(both[:, image_tokens.shape[1] :]))
