"""The core: pure functions from a model's activations and gradients to explanations. Imports jax alone."""
