"""Finds the rectifiers of a traced program, however they are written.

Each value of the program that is an elementwise function of one other value and constants is followed on a few
sample points, in numpy. A rectifier is such a function that is nearly flat on one side of zero and rises on the
other, to a straight line or to a ceiling: ReLU, ReLU6, leaky ReLU, ELU, CELU, SELU, GELU, SiLU, Mish, softplus and
their like, called by name or spelled out. Sigmoids, tanh, steps, absolute values, exponentials and clipping to
[0, 1] are none; nor is what keeps a root, a logarithm or a denominator from a value below zero
(``jnp.maximum(variance, 0)``). PReLU, whose slope is a parameter, is found as ``jnp.where(x >= 0, x, slope * x)``.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, DebugInfo, Jaxpr, JaxprEqn, Literal, Var, jaxpr_as_fun

from gradcam_jax.interception.elementwise import called, constant, evaluate_on_points

POINTS = np.array([-32.0, -16.0, -8.0, -4.0, -1.0, 0.0, 1.0, 4.0, 8.0, 16.0, 32.0])


@dataclasses.dataclass(frozen=True)
class Activation:
    """An elementwise function taken out of a program.

    Attributes:
        text: The function as text; two that are written alike are equal, and have the same guided function.
        program: The function.
    """

    text: str
    program: ClosedJaxpr = dataclasses.field(compare=False, repr=False)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Applies the function."""
        return jaxpr_as_fun(self.program)(x)[0]


class Rectifier(NamedTuple):
    """A rectifier in a program.

    Attributes:
        source: What it is a function of.
        function: The function.
        parts: The numbers of the equations that compute it.
        kind: Its name in ``jax.nn``, or ``"prelu"``; ``"activation"`` if it has no name.
        operands: What the function takes beside its source: the slope of a PReLU.
    """

    source: Var
    function: Callable[..., jax.Array]
    parts: tuple[int, ...]
    kind: str
    operands: tuple[Any, ...] = ()


class Found(NamedTuple):
    """What was found in a program.

    Attributes:
        rectifiers: The variable that a rectifier's result is in -> the rectifier.
        closed: The numbers of equations inside which there are none to be found: parts of rectifiers, and
            functions such as ``hard_sigmoid`` that are none, whatever they are made of.
    """

    rectifiers: dict[Var, Rectifier]
    closed: frozenset[int]


class _Values(NamedTuple):
    """A value on the sample points.

    Attributes:
        source: What it is a function of; None of a constant, which has one value.
        values: Its values.
        after: The rectifiers that it was computed from.
        through: The rectifier that all of it passes through, or None.
    """

    source: Var | None
    values: np.ndarray
    after: frozenset[Var] = frozenset()
    through: Var | None = None


def find_rectifiers(program: ClosedJaxpr) -> Found:
    """Finds the rectifiers among a program's own equations, not among those of the programs that it calls.

    Args:
        program: A traced program.
    """
    known: dict[Var, _Values] = {}
    graph = _Graph(program.jaxpr)
    for variable, value in zip(program.jaxpr.constvars, program.consts, strict=True):
        known[variable] = _constant(value) or _unknown(variable)
    for variable in program.jaxpr.invars:
        known[variable] = _unknown(variable)
    found: dict[Var, Any] = {}
    slopes: dict[Var, Rectifier] = {}
    closed = set()
    with np.errstate(all="ignore"):
        for index, equation in enumerate(program.jaxpr.eqns):
            inputs = [_constant(a.val) if isinstance(a, Literal) else known[a] for a in equation.invars]
            results = _follow(equation, inputs)
            known |= zip(equation.outvars, results or map(_unknown, equation.outvars), strict=True)
            if results is None and (learned := _prelu(graph, equation, inputs, index)):
                slopes[equation.outvars[0]] = learned
            if results is None or len(results) > 1 or results[0].source is None:
                continue
            (output,), (value,) = equation.outvars, results
            if _is_rectifier(value, output):
                if value.through is None:
                    known[output] = value._replace(after=value.after | {output}, through=output)
                    if not _guards(graph, output):
                        found = {variable: one for variable, one in found.items() if variable not in value.after}
                        found[output] = (value.source, _kind(equation, value))
            elif _saturates(value) or _name(equation):
                closed.add(index)
                if value.through is not None and len(graph.takers[value.through]) == 1:
                    found.pop(value.through, None)
    rectifiers = {output: _rectifier(program, graph, output, *found[output]) for output in found} | slopes
    parts = {index for rectifier in rectifiers.values() for index in rectifier.parts}
    return Found(rectifiers, frozenset(closed | parts))


def _follow(equation: JaxprEqn, inputs: Sequence[_Values | None]) -> list[_Values] | None:
    """Returns the results on the sample points, or None where they are no elementwise function of one value."""
    sources = {value.source for value in inputs if value is not None and value.source is not None}
    if any(value is None for value in inputs) or len(sources) > 1 or not inputs:
        return None
    source = next(iter(sources), None)
    shape = source.aval.shape if source is not None else None  # type: ignore[attr-defined]
    results = evaluate_on_points(equation, [value.values for value in inputs if value is not None], shape)
    if results is None:
        return None
    varying = [value for value in inputs if value is not None and value.source is not None]
    after = frozenset().union(*(value.after for value in varying))
    through = {value.through for value in varying}
    common = through.pop() if len(through) == 1 else None
    return [_Values(source if values.ndim else None, values, after, common) for values in results]


def _constant(value: Any) -> _Values | None:
    array = constant(value)
    return None if array is None else _Values(None, array)


def _unknown(variable: Var) -> _Values:
    return _Values(variable, POINTS)


def _is_rectifier(value: _Values, output: Var) -> bool:
    values, variables = value.values, (value.source, output)
    if not all(jnp.issubdtype(one.aval.dtype, jnp.floating) for one in variables):  # type: ignore[attr-defined]
        return False
    return values.dtype != bool and bool(np.isfinite(values).all()) and (_rises(values) or _rises(values[::-1]))


def _rises(values: np.ndarray) -> bool:
    at = dict(zip(POINTS.tolist(), (values - values[len(values) // 2]).tolist(), strict=True))
    straight = abs(at[32] - at[16] - 2 * (at[16] - at[8])) <= 0.05 * abs(at[32] - at[16])
    shut = all(abs(at[-point]) <= 0.45 * at[point] for point in (8, 32))
    return straight and shut and at[4] - at[1] > 0.1 * at[8] > 0


def _saturates(value: _Values) -> bool:
    """Tells whether a function has a ceiling and a floor, as a sigmoid, or a ReLU that is clipped further on."""
    values = value.values
    if values.dtype == bool or not np.isfinite(values).all():
        return False
    steps, span = np.abs(np.diff(values)), np.ptp(values)
    return bool(span > 0 and max(steps[0], steps[-1]) <= 1e-3 * span)


class _Graph:
    """Which equations of a program make a value, and which take it."""

    def __init__(self, program: Jaxpr):
        self.equations = program.eqns
        self.maker = {output: index for index, equation in enumerate(program.eqns) for output in equation.outvars}
        self.takers: dict[Var, list[JaxprEqn]] = {}
        for equation in program.eqns:
            for atom in {atom for atom in equation.invars if isinstance(atom, Var)}:
                self.takers.setdefault(atom, []).append(equation)


def _guards(graph: _Graph, variable: Var) -> bool:
    """Tells whether a value goes on to a root, a logarithm or a denominator."""
    for equation in graph.takers.get(variable, ()):
        name = equation.primitive.name
        if name in ("sqrt", "rsqrt", "log", "pow") or (name == "div" and equation.invars[1] is variable):
            return True
        literals = sum(isinstance(atom, Literal) for atom in equation.invars)
        passing = name in _PASSING and literals == len(equation.invars) - 1
        if passing and _guards(graph, equation.outvars[0]):
            return True
    return False


_PASSING = ("add", "max", "mul", "reshape", "broadcast_in_dim", "squeeze", "convert_element_type")


def _rectifier(program: ClosedJaxpr, graph: _Graph, output: Var, source: Var, kind: str) -> Rectifier:
    parts, open_ends, constants = set(), [output], []
    while open_ends:
        variable = open_ends.pop()
        if variable in graph.maker:
            parts.add(graph.maker[variable])
            inputs = graph.equations[graph.maker[variable]].invars
            open_ends += [atom for atom in inputs if isinstance(atom, Var) and atom is not source]
        elif variable not in constants:
            constants.append(variable)
    values = dict(zip(program.jaxpr.constvars, program.consts, strict=True))
    equations = [graph.equations[index] for index in sorted(parts)]
    debug_info = DebugInfo("rectifier", kind, ("x",), ("result",))
    function = Jaxpr(constants, [source], [output], equations, debug_info=debug_info)
    closed = ClosedJaxpr(function, [values[constant] for constant in constants])
    text = f"{function} {[float(constant) for constant in closed.consts]}"
    return Rectifier(source, Activation(text, closed), tuple(sorted(parts)), kind)


def prelu(x: jax.Array, slope: jax.Array) -> jax.Array:
    """Multiplies what is negative by a slope that was learned (He et al., arXiv:1502.01852, equation 1)."""
    return jnp.where(x >= 0, x, slope * x)


def _prelu(graph: _Graph, equation: JaxprEqn, inputs: Sequence[_Values | None], index: int) -> Rectifier | None:
    """Returns the PReLU that a choice is, by the sign of a value, between it and its product with another."""
    body = called(equation)
    choice = equation if body is None else body.jaxpr.eqns[0] if len(body.jaxpr.eqns) == 1 else None
    if choice is None or choice.primitive.name != "select_n" or len(inputs) != 3 or None in inputs:
        return None
    own = equation.invars if body is None else body.jaxpr.invars
    if any(isinstance(atom, Literal) for atom in choice.invars) or len(choice.invars) != 3:
        return None
    order = [own.index(atom) for atom in choice.invars]  # jnp.where is a program of its own
    sign, *cases = (value for value in (inputs[place] for place in order) if value is not None)
    for kept, other in ((1, 0), (0, 1)):
        x, product = (equation.invars[order[1 + case]] for case in (kept, other))
        maker = graph.equations[graph.maker[product]] if product in graph.maker else None
        if sign.source is not cases[kept].source or maker is None or maker.primitive.name != "mul":
            continue
        slope = next((atom for atom in maker.invars if atom is not x), None)
        positive = sign.values if kept else ~sign.values
        if x in maker.invars and slope is not None and _is_sign(positive, cases[kept].values):
            return Rectifier(x, prelu, (index,), "prelu", (slope,))  # type: ignore[arg-type]
    return None


def _is_sign(positive: np.ndarray, values: np.ndarray) -> bool:
    return positive.ndim == 1 and any(np.array_equal(positive, one) for one in (values > 0, values >= 0))


def _name(equation: JaxprEqn) -> str:
    """Returns the name in ``jax.nn`` of the function that an equation calls, or an empty one."""
    body = called(equation)
    name = body.jaxpr.debug_info.func_name if body is not None else ""
    return name if name in dir(jax.nn) else ""


def _kind(equation: JaxprEqn, value: _Values) -> str:
    kinds = (name for name, values in _SPELLED_OUT.items() if np.allclose(value.values, values, atol=1e-3))
    return _name(equation) or next(kinds, "activation")


_SPELLED_OUT = {
    "relu": np.maximum(POINTS, 0),
    "relu6": np.clip(POINTS, 0, 6),
    "silu": POINTS / (1 + np.exp(-POINTS)),
    "gelu": POINTS * np.vectorize(math.erfc, [float])(-POINTS / math.sqrt(2)) / 2,
}
