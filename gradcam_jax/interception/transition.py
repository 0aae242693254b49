"""Temporary."""
import gradcam_jax.interception.tapped as t
from gradcam_jax.interception.linen import tapped


def layer_shapes(model, variables, *inputs, **options):
    """Temporary."""
    return t.layer_shapes(tapped(model, variables, **options), *inputs)
