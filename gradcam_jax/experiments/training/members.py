"""A VQA head of several members, which read the same question, each with a common space of its own.

Members start elsewhere and are dropped out elsewhere, so they err elsewhere: their mean errs less, and so do its
maps, whose weights are the mean of theirs. A mean of scores is a wider head's score, and that is what is kept.

References:
    Lakshminarayanan et al., Simple and Scalable Predictive Uncertainty Estimation using Deep Ensembles,
    arXiv:1612.01474.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradcam_jax.experiments.training.loop import Loss

Params = Any

_OWN = ("question_projection", "image_projection", "classifier")


def together(members: Sequence[Params]) -> Params:
    """Returns the parameters of all members: their own layers stacked, the first one's encoder of questions.

    Stacked biases are matrices, so weight decay takes them for kernels.
    """
    own = {
        name: jax.tree.map(lambda *leaves: jnp.stack(leaves), *[member[name] for member in members])
        for name in _OWN
    }
    return {**members[0], **own}


def loss_of_each(loss: Loss) -> Loss:
    """Returns the mean of a head's loss over the members, each with dropout of its own, and of its metrics."""

    def mean(params: Params, batch: Any, key: jax.Array) -> tuple[jax.Array, Mapping[str, jax.Array]]:
        own = {name: params[name] for name in _OWN}
        keys = jax.random.split(key, len(params["classifier"]["bias"]))
        found = jax.vmap(lambda own, key: loss({**params, **own}, batch, key))(own, keys)
        return jax.tree.map(lambda values: jnp.mean(values, axis=0), found)

    return mean


def as_one(params: Params) -> Params:
    """Returns the parameters of one head, as wide as the members together, whose scores are their mean."""
    params = jax.tree.map(np.asarray, params)
    members = len(params["classifier"]["bias"])
    projections = {
        name: {
            "kernel": np.concatenate(list(params[name]["kernel"]), axis=-1),
            "bias": params[name]["bias"].reshape(-1),
        }
        for name in _OWN[:2]
    }
    kernel, bias = params["classifier"]["kernel"], params["classifier"]["bias"]
    classifier = {"kernel": np.concatenate(list(kernel)) / members, "bias": bias.mean(axis=0)}
    return {**params, **projections, "classifier": classifier}
