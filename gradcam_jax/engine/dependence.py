"""What a traced program's outputs can depend on."""

from collections.abc import Callable
from typing import Any

import jax
from jax.extend.core import Var


def depends_on(function: Callable[..., Any], position: int, *arguments: Any) -> bool:
    """Tells whether any output of a function can depend on one of its arguments.

    Read off the traced program, whose nested calls count as depending on all that they take: a True may be too
    careful, a False is certain.

    Args:
        function: Any function that JAX can trace.
        position: Which argument is asked about.
        *arguments: Arrays, shapes, or trees of them.

    Returns:
        True if a path leads from the argument to an output.

    Example:
        >>> import jax.numpy as jnp
        >>> depends_on(lambda x, y: jnp.sin(x) + 0 * jnp.zeros_like(y), 1, 1.0, 2.0)
        False
    """
    program = jax.make_jaxpr(function)(*arguments).jaxpr
    alive = {variable for variable in program.outvars if isinstance(variable, Var)}
    for equation in reversed(program.eqns):
        if alive.intersection(equation.outvars):
            alive.update(variable for variable in equation.invars if isinstance(variable, Var))
    before = len(jax.tree.leaves(arguments[:position]))
    own = program.invars[before : before + len(jax.tree.leaves(arguments[position]))]
    return bool(alive.intersection(own))
