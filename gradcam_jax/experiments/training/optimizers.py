"""Optimiser presets: the published settings of the original models, and a modern one."""

from typing import Any

import jax
import jax.numpy as jnp
import optax


def published_vqa(learning_rate: float = 3e-4) -> optax.GradientTransformation:
    r"""RMSprop as the original VQA model was trained with.

    .. math:: m \leftarrow 0.99\, m + 0.01\, g^2, \quad x \leftarrow x - \lambda_t \, g / (\sqrt m + 10^{-8})

    with g clamped elementwise to :math:`\pm 10`, m starting at 0 and
    :math:`\lambda_t = \lambda\, 0.99997592083^t` (0.3 times in 50 000 steps).

    References:
        VT-vision-lab/VQA_LSTM_CNN, ``train.lua`` and torch/optim ``rmsprop.lua``.
    """
    return optax.chain(
        optax.clip(10.0),
        optax.scale_by_rms(decay=0.99, eps=1e-8, initial_scale=0.0, eps_in_sqrt=False),
        optax.scale_by_learning_rate(optax.exponential_decay(learning_rate, 1, 0.99997592083)),
    )


def published_captioning(learning_rate: float = 4e-4) -> optax.GradientTransformation:
    r"""Adam as neuraltalk2's language model was trained with.

    .. math::
        x \leftarrow x - \lambda \frac{\sqrt{1 - \beta_2^t}}{1 - \beta_1^t} \frac{m}{\sqrt v + 10^{-8}},
        \quad \beta = (0.8, 0.999)

    with the gradient clamped elementwise to :math:`\pm 0.1`. The small number is added before the bias
    correction, which textbook Adam does the other way round.

    References:
        karpathy/neuraltalk2, ``train.lua`` and ``misc/optim_updates.lua``.
    """
    return optax.chain(
        optax.clip(0.1), _scale_by_torch7_adam(0.8, 0.999, 1e-8), optax.scale_by_learning_rate(learning_rate)
    )


def published_captioning_with_cnn(
    learning_rate: float = 4e-4, cnn_learning_rate: float = 1e-5
) -> optax.GradientTransformation:
    """Adam in two groups, as neuraltalk2's second stage trains the CNN too.

    The language model's group is :func:`published_captioning`. The CNN's has the same betas, its own rate, no
    weight decay, and (as neuraltalk2 clamps it with weight decay only) gradients as they are. The linear map from
    the CNN's features to the image's vector is the CNN's last layer in neuraltalk2 and is in its group.

    References:
        karpathy/neuraltalk2, ``train.lua`` and ``misc/net_utils.lua``.
    """
    cnn = optax.chain(_scale_by_torch7_adam(0.8, 0.999, 1e-8), optax.scale_by_learning_rate(cnn_learning_rate))
    return optax.multi_transform({"language": published_captioning(learning_rate), "cnn": cnn}, _captioner_groups)


def modern(
    learning_rate: float,
    steps: int,
    *,
    warmup: int = 200,
    weight_decay: float = 1e-2,
    last: int = 0,
    last_rate: float = 0.0,
) -> optax.GradientTransformation:
    """AdamW with a linear warm-up, of at most a tenth of the run, and a cosine decay to zero.

    In the ``last`` of the steps, if there are any, the rate falls from ``last_rate`` to zero once more. The
    gradient's norm is clipped to 1; only matrices decay, biases are left alone.
    """
    first = steps - last
    schedule = optax.warmup_cosine_decay_schedule(0.0, learning_rate, max(min(warmup, first // 10), 1), first)
    if last:
        schedule = optax.join_schedules([schedule, optax.linear_schedule(last_rate, 0.0, last)], [first])
    decay = optax.add_decayed_weights(weight_decay, mask=_is_matrix)
    return optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.scale_by_adam(),
        decay,
        optax.scale_by_learning_rate(schedule),
    )


def with_slower(optimizer: optax.GradientTransformation, part: str, factor: float) -> optax.GradientTransformation:
    """Returns an optimiser that moves one part of the parameters, by its name, by a fraction of its steps."""

    def is_part(params: Any) -> Any:
        return {name: jax.tree.map(lambda _: name == part, leaf) for name, leaf in params.items()}  # noqa: B023

    return optax.chain(optimizer, optax.masked(optax.scale(factor), is_part))


def _captioner_groups(params: Any) -> Any:
    return {
        name: jax.tree.map(lambda _: "cnn" if name in ("cnn", "image_embedding") else "language", leaf)  # noqa: B023
        for name, leaf in params.items()
    }


def _is_matrix(params: optax.Params) -> optax.Params:
    return jax.tree.map(lambda leaf: jnp.ndim(leaf) > 1, params)


def _scale_by_torch7_adam(beta1: float, beta2: float, epsilon: float) -> optax.GradientTransformation:
    def initialize(params: optax.Params) -> optax.ScaleByAdamState:
        zeros = jax.tree.map(jnp.zeros_like, params)
        return optax.ScaleByAdamState(count=jnp.zeros((), jnp.int32), mu=zeros, nu=zeros)

    def update(
        updates: optax.Updates, state: Any, params: optax.Params | None = None
    ) -> tuple[optax.Updates, optax.OptState]:
        del params
        count = state.count + 1
        mu = jax.tree.map(lambda m, g: beta1 * m + (1 - beta1) * g, state.mu, updates)
        nu = jax.tree.map(lambda v, g: beta2 * v + (1 - beta2) * g * g, state.nu, updates)
        time = count.astype(jnp.float32)
        correction = jnp.sqrt(1 - beta2**time) / (1 - beta1**time)
        scaled = jax.tree.map(lambda m, v: correction * m / (jnp.sqrt(v) + epsilon), mu, nu)
        return scaled, optax.ScaleByAdamState(count=count, mu=mu, nu=nu)

    return optax.GradientTransformation(initialize, update)
