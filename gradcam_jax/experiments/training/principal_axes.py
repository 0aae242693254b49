"""Principal axes of a frozen CNN's features, on which a VQA head is trained, and how they are folded away again.

The head is trained on the CNN's normalised features f beside the class scores f W that the CNN's own classifier
gives them, rotated onto their principal axes: ``x = f M + o``. That is linear in f, so afterwards it is folded
into the one projection that the model has: a model that reads f alone gives the same answers.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gradcam_jax.models.vqa import l2_normalize


class PrincipalAxes(NamedTuple):
    """The linear map x = f M + o: ``matrix`` M, ``(features, axes)``, and ``offset`` o, ``(axes,)``, float64."""

    matrix: np.ndarray
    offset: np.ndarray

    def __call__(self, pooled: np.ndarray) -> np.ndarray:
        """Maps pooled features ``(n, features)`` to ``(n, axes)`` float32."""
        return (_normalized(pooled) @ self.matrix + self.offset).astype(np.float32)

    def contributions(self, activations: jax.Array) -> jax.Array:
        """Returns what each position adds to the mapped mean over positions, to first order, times their number.

        From the last convolution's ``(positions, features)`` to ``(positions, axes)``: the derivative of the map
        at the mean, along each position's vector.
        """
        matrix = jnp.asarray(self.matrix, jnp.float32)
        _, along = jax.linearize(lambda pooled: l2_normalize(pooled) @ matrix, jnp.mean(activations, axis=0))
        return jax.vmap(along)(activations)


def principal_axes(pooled: np.ndarray, classifier: np.ndarray, count: int = 512) -> PrincipalAxes:
    """Returns the map onto the principal axes, at most so many, of the features beside the class scores.

    Features and scores are first brought to the same total variance; the axes together have a mean variance
    of 1, and keep their proportions, so that the faint ones stay faint. The features are pooled ones of training
    views, ``(views, features)``, the classifier is the CNN's own, ``(features, classes)``.
    """
    features = _normalized(pooled)
    scores = features @ classifier.astype(np.float64)
    widen = np.concatenate(
        [np.eye(features.shape[1]) / _spread(features), classifier / _spread(scores)], axis=1, dtype=np.float64
    )
    mean = features.mean(axis=0)
    wide = (features - mean) @ widen
    variances, directions = np.linalg.eigh(wide.T @ wide / len(wide))
    matrix = widen @ directions[:, ::-1][:, :count] / np.sqrt(variances[::-1][:count].mean())
    return PrincipalAxes(matrix, -mean @ matrix)


def fold(params: Any, axes: PrincipalAxes) -> Any:
    """Returns the parameters of the same VQA head on the CNN's normalised features alone."""
    kernel = np.asarray(params["image_projection"]["kernel"], np.float64)
    bias = np.asarray(params["image_projection"]["bias"], np.float64) + axes.offset @ kernel
    projection = {"kernel": (axes.matrix @ kernel).astype(np.float32), "bias": bias.astype(np.float32)}
    return {**jax.tree.map(np.asarray, params), "image_projection": projection}


def _normalized(pooled: np.ndarray) -> np.ndarray:
    return np.asarray(l2_normalize(jnp.asarray(pooled))).astype(np.float64)


def _spread(values: np.ndarray) -> float:
    return float(np.sqrt(np.var(values, axis=0).sum()))
