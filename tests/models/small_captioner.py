"""A captioner small enough to be differentiated and written out by hand, with random weights."""

import jax
import numpy as np

from gradcam_jax.models.captioner import MAX_WORDS, Captioner
from gradcam_jax.models.vgg import VGG

WORDS = 30
SIZE = 32
LAYER = "cnn/relu2_1"


def small_captioner(evidence: int = 0) -> Captioner:
    cnn = VGG(convolutions=(1, 1), channels=(8, 12), hidden=20, classes=None, input_size=SIZE)
    return Captioner(cnn=cnn, words=WORDS, embedding_size=14, hidden_size=16, evidence=evidence)


def random_variables(seed: int = 0, evidence: int = 0):
    """Weights of the size that gives log-probabilities far from uniform, biases included."""
    shapes = jax.eval_shape(
        small_captioner(evidence).init,
        jax.random.key(0),
        np.zeros((SIZE, SIZE, 3), np.float32),
        np.zeros(3, np.int32),
    )
    leaves, tree = jax.tree.flatten(shapes)
    generator = np.random.default_rng(seed)
    scaled = [
        generator.normal(size=leaf.shape)
        * (1.5 / np.sqrt(np.prod(leaf.shape[:-1]) or 1) if leaf.ndim > 1 else 0.3)
        for leaf in leaves
    ]
    return jax.tree.unflatten(tree, [leaf.astype(np.float32) for leaf in scaled])


def random_image(seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(SIZE, SIZE, 3)).astype(np.float32)


def random_tokens(count: int = 16, seed: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, WORDS, size=count).astype(np.int32)


def word_scores(model: Captioner, image, tokens):
    """A method for `model.apply`: the log-probability of each word, from the image."""
    return model.read_words(model.image_vector(image), tokens).log_probs


def softened_word_scores(model: Captioner, image, tokens):
    """A method for `model.apply`: the score of each word at a temperature of 3, from the image."""
    return model.read_words(model.image_vector(image), tokens, 3.0).scores


def span_mask(start: int, stop: int) -> np.ndarray:
    """1 for the words from start to before stop, 0 for the others."""
    words = np.arange(MAX_WORDS)
    return ((start <= words) & (words < stop)).astype(np.float32)


def word_masks(count: int) -> np.ndarray:
    """The mask of a whole caption, then of each word: (1 + count, MAX_WORDS)."""
    return np.stack([span_mask(0, count), *(span_mask(word, word + 1) for word in range(count))])
