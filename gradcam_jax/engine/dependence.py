"""A function traced once, to be asked what its result can depend on, and to be called."""

from collections.abc import Callable
from typing import Any

import jax
from jax.extend.core import Var, jaxpr_as_fun


class Traced:
    """A function of arrays as the program that JAX traces it to; calling it traces nothing of the function again.

    Example:
        >>> import jax.numpy as jnp
        >>> traced = Traced(lambda x, y: jnp.sin(x) + 0 * jnp.zeros_like(y), 1.0, 2.0)
        >>> traced.depends_on(0), traced.depends_on(1), float(traced(0.0, 2.0))
        (True, False, 0.0)
    """

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Traces the function.

        Args:
            function: Any function that JAX can trace, with one array as its result.
            *arguments: Arrays, shapes, or trees of them.
        """
        self._program = jax.make_jaxpr(function)(*arguments)
        self._lengths = [len(jax.tree.leaves(argument)) for argument in arguments]

    def depends_on(self, position: int) -> bool:
        """Tells whether the result can depend on one of the arguments.

        Nested calls count as depending on all that they take: a True may be too careful, a False is certain.

        Args:
            position: Which argument is asked about.
        """
        program = self._program.jaxpr
        alive = {variable for variable in program.outvars if isinstance(variable, Var)}
        for equation in reversed(program.eqns):
            if alive.intersection(equation.outvars):
                alive.update(variable for variable in equation.invars if isinstance(variable, Var))
        before = sum(self._lengths[:position])
        return bool(alive.intersection(program.invars[before : before + self._lengths[position]]))

    def __call__(self, *arguments: Any) -> Any:
        """Returns the result for arguments of the shapes that it was traced with."""
        return jaxpr_as_fun(self._program)(*jax.tree.leaves(arguments))[0]
