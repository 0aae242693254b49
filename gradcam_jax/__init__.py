"""Grad-CAM, guided backpropagation and Guided Grad-CAM as pure JAX functions.

A target score is a pure function of a model's outputs; an explanation is what ``jax.grad`` of that score says
at an intercepted activation (Grad-CAM) and at the pixels (guided backpropagation)::

    forward = tapped(model, variables, "relu5_3")        # any Flax Linen model; plain functions: tapped_functions
    explanation = explain(forward, images, labels)       # (n, H, W, 3), (n, targets): one forward pass an image

``explain`` takes batches; the functions that it is made of take one example, for ``jax.vmap`` and ``jax.jit``. The
names are listed by group in ``__init__.pyi``, and each is imported when it is first used.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
