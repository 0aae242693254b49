"""Elementwise functions of a traced program on a few sample points, in numpy: nothing is compiled.

A constant has no axis; a value on the sample points has one.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Var

CALLS = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
}
"""Primitives that call a program once, and the parameter that holds it."""


def called(equation: JaxprEqn) -> ClosedJaxpr | None:
    """Returns the program that an equation calls once, or None."""
    body = equation.params.get(CALLS.get(equation.primitive.name, ""))
    return None if body is None else with_constants(body)


def with_constants(program: Jaxpr | ClosedJaxpr) -> ClosedJaxpr:
    """Returns a program with its constants, which a ``Jaxpr`` holds itself from JAX 0.11 on."""
    return ClosedJaxpr(program, getattr(program, "consts", ())) if isinstance(program, Jaxpr) else program


def evaluate_on_points(equation: JaxprEqn, inputs: Sequence[np.ndarray], shape: Any) -> list[np.ndarray] | None:
    """Evaluates one equation.

    Args:
        equation: Of a traced program.
        inputs: Its inputs: constants and values on the sample points.
        shape: The shape of what is a function of the sample points, in the traced program.

    Returns:
        Its results, or None where it is no elementwise function, or one that is not known.
    """
    body = called(equation)
    if body is not None:
        return _evaluate_program(body, inputs, shape)
    function = _FUNCTIONS.get(equation.primitive.name)
    if function is None:
        return None
    result = function(equation.params, *inputs)
    (output,) = equation.outvars
    if result is None or (result.ndim and output.aval.shape != shape):  # type: ignore[attr-defined]
        return None
    return [result]


def _evaluate_program(program: ClosedJaxpr, inputs: Sequence[np.ndarray], shape: Any) -> list[np.ndarray] | None:
    known = dict(zip(program.jaxpr.invars, inputs, strict=True))
    for variable, value in zip(program.jaxpr.constvars, program.consts, strict=True):
        array = constant(value)
        if array is None:
            return None
        known[variable] = array
    for equation in program.jaxpr.eqns:
        arrays = _arrays(equation.invars, known)
        results = None if arrays is None else evaluate_on_points(equation, arrays, shape)
        if results is None:
            return None
        known |= zip(equation.outvars, results, strict=True)
    return _arrays(program.jaxpr.outvars, known)


def _arrays(atoms: Sequence[Any], known: Mapping[Var, np.ndarray]) -> list[np.ndarray] | None:
    arrays = [constant(atom.val) if isinstance(atom, Literal) else known[atom] for atom in atoms]
    return None if any(array is None for array in arrays) else [array for array in arrays if array is not None]


def constant(value: Any) -> np.ndarray | None:
    """Returns a value that is one number as an array without axes, or None."""
    dtype = jax.typeof(value).dtype
    if (
        isinstance(value, Tracer)
        or np.size(value) != 1
        or not (jnp.issubdtype(dtype, jnp.number) or jnp.issubdtype(dtype, jnp.bool_))
    ):
        return None
    scalar = np.asarray(value).reshape(())
    return scalar if scalar.dtype == bool else scalar.astype(np.float64)


def _elementwise(function: Callable[..., Any]) -> Callable[..., np.ndarray]:
    return lambda _, *inputs: np.asarray(function(*inputs))


def _convert(params: Any, value: np.ndarray) -> np.ndarray | None:
    kinds = (jnp.floating, jnp.bool_)
    floating, boolean = (jnp.issubdtype(params["new_dtype"], kind) for kind in kinds)
    if floating:
        return value.astype(np.float64)
    return value if value.ndim == 0 and not boolean else None


def _select(_: Any, which: np.ndarray, *cases: np.ndarray) -> np.ndarray | None:
    return np.where(which, cases[1], cases[0]) if which.dtype == bool and len(cases) == 2 else None


def _logic(function: Callable[..., Any]) -> Callable[..., np.ndarray | None]:
    return lambda _, *inputs: function(*inputs) if all(value.dtype == bool for value in inputs) else None


_FUNCTIONS: dict[str, Callable[..., np.ndarray | None]] = {
    "broadcast_in_dim": lambda _, value, *__: value,
    "clamp": lambda _, low, value, high: np.clip(value, low, high),
    "convert_element_type": _convert,
    "pvary": lambda _, value: value,
    "pcast": lambda _, value: value,
    "integer_pow": lambda params, value: value ** params["y"],
    "select_n": _select,
} | {
    name: _elementwise(function)
    for name, function in {
        **{"add": np.add, "add_any": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide},
        **{"neg": np.negative, "abs": np.abs, "sign": np.sign, "max": np.maximum, "min": np.minimum},
        **{"pow": np.power, "exp": np.exp, "expm1": np.expm1, "log": np.log, "log1p": np.log1p},
        **{"tanh": np.tanh, "square": np.square, "sqrt": np.sqrt, "rsqrt": lambda x: 1 / np.sqrt(x)},
        **{"logistic": lambda x: 1 / (1 + np.exp(-x)), "copy": np.copy, "copy_p": np.copy},
        **{"erf": np.vectorize(math.erf, [float]), "erfc": np.vectorize(math.erfc, [float])},
        **{"gt": np.greater, "ge": np.greater_equal, "lt": np.less, "le": np.less_equal},
        **{"eq": np.equal, "ne": np.not_equal},
    }.items()
} | {
    name: _logic(function)
    for name, function in {"and": np.logical_and, "or": np.logical_or, "not": np.logical_not}.items()
}  # fmt: skip
