"""A function traced once, to be asked what its result can depend on, and to be called without the rest."""

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
        program = jax.make_jaxpr(function)(*arguments)
        needed = {variable for variable in program.jaxpr.outvars if isinstance(variable, Var)}
        equations = []
        for equation in reversed(program.jaxpr.eqns):
            if needed.intersection(equation.outvars):
                equations.append(equation)
                needed.update(variable for variable in equation.invars if isinstance(variable, Var))
        self._program = program.replace(jaxpr=program.jaxpr.replace(eqns=equations[::-1]))
        self._needed = needed
        self._lengths = [len(jax.tree.leaves(argument)) for argument in arguments]

    def depends_on(self, position: int) -> bool:
        """Tells whether the result can depend on one of the arguments.

        Nested calls count as depending on all that they take: a True may be too careful, a False is certain.

        Args:
            position: Which argument is asked about.
        """
        before = sum(self._lengths[:position])
        inputs = self._program.jaxpr.invars[before : before + self._lengths[position]]
        return bool(self._needed.intersection(inputs))

    def __call__(self, *arguments: Any) -> Any:
        """Returns the result for arguments of the shapes that it was traced with."""
        return jaxpr_as_fun(self._program)(*jax.tree.leaves(arguments))[0]
