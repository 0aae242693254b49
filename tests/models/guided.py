"""Guided backpropagation of Linen models whose rectifiers are modules: each module's call is given the rule."""

import flax.linen as nn
import jax

from gradcam_jax import guided
from gradcam_jax.models.layers import Relu


def guided_gradient(model, variables, score, image, *inputs):
    """Returns the gradient of a score at the image, without the interception that is tested."""

    def with_the_rule(call, arguments, options, context):
        if isinstance(context.module, Relu):
            return guided(context.module.function)(*arguments)
        return call(*arguments, **options)

    def score_of(image):
        return score(model.apply(variables, image, *inputs))

    with nn.intercept_methods(with_the_rule):
        return jax.grad(score_of)(image)
