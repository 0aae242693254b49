"""Counts the operations of a model from the program that JAX traces, before any compiler sees it.

A compiler counts what it generates itself: calls of cuDNN count as nothing, the body of a loop counts once, and on
CPUs Winograd's transforms count for the convolutions that they replace. The traced program has every product of
matrices and every convolution in it, so its count is the textbook's and the same on every device.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Var


def count_operations(program: ClosedJaxpr) -> int:
    r"""Returns the floating-point operations of a program's matrix products and convolutions.

    A product of an ``(m, k)`` with a ``(k, n)`` matrix counts :math:`2mkn`, a multiplication and an addition for
    each of its terms. A convolution counts as if there were no border: :math:`2 k_h k_w C_{in}` for each element
    of the result. One whose image is dilated by s with zeros, as in the gradient of a strided one, counts
    :math:`1/s^2` of that. A loop counts as often as it runs, of several branches the most expensive counts, and
    what no result depends on counts as nothing (of a loop: what none of all its results depends on). Element-wise
    operations are not counted: not the pooling, nor depthwise convolutions that are written as shifted
    multiplications and additions.

    Args:
        program: As ``jax.jit(function).trace(*arguments).jaxpr`` and ``jax.make_jaxpr`` return it.

    Raises:
        ValueError: If there is a product in a loop whose length is known only when it runs.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> count_operations(jax.make_jaxpr(jnp.matmul)(jnp.ones((2, 3)), jnp.ones((3, 5))))
        60
    """
    return _count(program.jaxpr, [True] * len(program.jaxpr.outvars))[0]


def _count(program: Jaxpr, wanted: Sequence[bool]) -> tuple[int, list[bool]]:
    """Returns the operations that the wanted results take, and which arguments they depend on."""
    alive = {out for out, want in zip(program.outvars, wanted, strict=True) if want and isinstance(out, Var)}
    total = 0
    for equation in reversed(program.eqns):
        outputs = [out in alive for out in equation.outvars]
        if any(outputs):
            count, inputs = _count_equation(equation, outputs)
            total += count
            needed = zip(equation.invars, inputs, strict=True)
            alive.update(value for value, need in needed if need and isinstance(value, Var))
    return total, [argument in alive for argument in program.invars]


def _count_equation(equation: JaxprEqn, wanted: Sequence[bool]) -> tuple[int, list[bool]]:
    name, parameters = equation.primitive.name, equation.params
    every = [True] * len(equation.invars)
    if name == "dot_general":
        return _product(equation), every
    if name == "conv_general_dilated":
        return _convolution(equation), every
    if name == "cond":
        branches = [_count(branch.jaxpr, wanted) for branch in parameters["branches"]]
        inputs = [any(needs) for needs in zip(*(needs for _, needs in branches), strict=True)]
        return max(count for count, _ in branches), [True, *inputs]
    if name == "scan":
        body = parameters["jaxpr"].jaxpr
        count, inputs = _count(body, [True] * len(body.outvars))  # what is carried on is wanted by the next round
        return parameters["length"] * count, inputs
    if name == "while":
        if any(_count(body, [True] * len(body.outvars))[0] for body in _bodies(parameters)):
            raise ValueError("Expected loops of a known length, got a while loop around matrix products.")
        return 0, every
    for body in _bodies(parameters):
        if len(body.invars) == len(every) and len(body.outvars) == len(wanted):
            return _count(body, wanted)  # a call: of jit, of a function with its own derivative
    return 0, every


def _bodies(parameters: dict[str, Any]) -> Iterator[Jaxpr]:
    for value in parameters.values():
        if isinstance(value, ClosedJaxpr):
            yield value.jaxpr
        elif isinstance(value, Jaxpr):
            yield value


def _product(equation: JaxprEqn) -> int:
    left, result = _shape(equation.invars[0]), _shape(equation.outvars[0])
    (contracted, _), _ = equation.params["dimension_numbers"]
    return 2 * math.prod(result) * math.prod(left[axis] for axis in contracted)


def _convolution(equation: JaxprEqn) -> int:
    kernel, result = _shape(equation.invars[1]), _shape(equation.outvars[0])
    filters = kernel[equation.params["dimension_numbers"].rhs_spec[0]]
    terms = math.prod(result) * math.prod(kernel) // filters
    return 2 * terms // math.prod(equation.params["lhs_dilation"])


def _shape(value: Any) -> tuple[int, ...]:
    return value.aval.shape
