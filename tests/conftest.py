"""JAX in its strict modes for every test: no silent dtype or rank promotion, and no accelerator taken."""

import jax

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
