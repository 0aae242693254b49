"""The places in a traced program that can be named: what layers return, and rectifiers that are called inline.

A rectifier that no layer returns is named after the last layer before it and its kind: ``"Conv_2.relu"``.
"""

import collections
import itertools
import math
import weakref
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Var

from gradcam_jax.errors import LayerError
from gradcam_jax.interception.elementwise import called, with_constants
from gradcam_jax.interception.marks import layer_p
from gradcam_jax.interception.names import require_layers
from gradcam_jax.interception.rectifiers import Found, Rectifier, find_rectifiers


class Place(NamedTuple):
    """Where in a program's trace an equation stands.

    Attributes:
        layer: The last layer before it.
        batched: Whether that layer's value has the batch axis of one example.
        mapped: The axes before that which ``jax.vmap`` added.
    """

    layer: str
    batched: bool
    mapped: tuple[int, ...] = ()

    @property
    def calls(self) -> int:
        """How many calls of the layer its value holds."""
        return math.prod(self.mapped)


class Site(NamedTuple):
    """One call of a layer, or of a rectifier.

    Attributes:
        name: The layer's name, or the rectifier's.
        value: Shape and dtype, of one example.
    """

    name: str
    value: jax.ShapeDtypeStruct


class Body(NamedTuple):
    """What a program holds.

    Attributes:
        rectifiers: The variable that a rectifier's result is in -> the rectifier.
        sites: The sites of each of its equations, in the order of their calls.
        places: Where each of its equations stands, and the place after the last.
        all_sites: The sites of all of its equations.
    """

    rectifiers: dict[Var, Rectifier]
    sites: tuple[tuple[Site, ...], ...]
    places: tuple[Place, ...]
    all_sites: tuple[Site, ...]


_bodies: Any = weakref.WeakKeyDictionary()
_found: Any = weakref.WeakKeyDictionary()


def read_body(program: ClosedJaxpr, place: Place) -> Body:
    """Finds the rectifiers and the sites of a program, those inside the programs that it calls included.

    Args:
        program: A traced program.
        place: Where it is called.
    """
    known = _bodies.setdefault(program.jaxpr, {})
    if place not in known:
        known[place] = _read(program, place)
    return known[place]


def _read(program: ClosedJaxpr, place: Place) -> Body:
    rectifiers, closed = look_into(program)
    marks = [equation.invars[0] for equation in program.jaxpr.eqns if equation.primitive is layer_p]
    marked = {atom for atom in marks if isinstance(atom, Var)}
    sites, places = [], []
    for index, equation in enumerate(program.jaxpr.eqns):
        places.append(place)
        output: Any = equation.outvars[0] if equation.outvars else None
        if equation.primitive is layer_p:
            shape = equation.invars[0].aval.shape
            place = Place(equation.params["name"], equation.params["batched"], shape[: equation.params["mapped"]])
            own = [Site(place.layer, _of_one_example(output, place))] * place.calls
        elif output in rectifiers:
            kind = rectifiers[output].kind
            name = f"{place.layer}.{kind}" if place.layer else kind
            hidden = output in marked or not _holds_an_example(output, place)
            own = [] if hidden else [Site(name, _of_one_example(output, place))] * place.calls
        else:
            own = []
            for body, times in nested(equation) if index not in closed else ():
                inner = read_body(body, place)
                own, place = [*own, *inner.all_sites * times], inner.places[-1]
        sites.append(tuple(own))
    return Body(rectifiers, tuple(sites), (*places, place), tuple(itertools.chain(*sites)))


def look_into(program: ClosedJaxpr) -> Found:
    """Returns what :func:`find_rectifiers` found, which looks at a program once."""
    if program.jaxpr not in _found:
        _found[program.jaxpr] = find_rectifiers(program)
    return _found[program.jaxpr]


def nested(equation: JaxprEqn) -> Iterator[tuple[ClosedJaxpr, int]]:
    """Yields the programs inside an equation whose layers can be reached, and how often each is called."""
    name, params = equation.primitive.name, equation.params
    body = called(equation)
    if body is not None:
        yield body, 1
    elif name == "remat2":
        yield with_constants(params["jaxpr"]), 1
    elif name == "scan":
        yield params["jaxpr"], params["length"]


def count_rectifiers(program: ClosedJaxpr) -> collections.Counter[str]:
    """Counts the rectifiers of a program and of those inside it, by kind."""
    rectifiers, _ = look_into(program)
    counts = collections.Counter(rectifier.kind for rectifier in rectifiers.values())
    for index in range(len(program.jaxpr.eqns)):
        counts += rectifiers_inside(program, index)
    return counts


def rectifiers_inside(program: ClosedJaxpr, index: int) -> collections.Counter[str]:
    """Counts the rectifiers in the programs inside one of a program's equations, by kind."""
    inside = [] if index in look_into(program).closed else programs_inside(program.jaxpr.eqns[index])
    return sum(map(count_rectifiers, inside), collections.Counter[str]())


def programs_inside(equation: JaxprEqn) -> list[ClosedJaxpr]:
    """Lists the programs inside an equation, whether their layers can be reached or not."""
    values = jax.tree.leaves(list(equation.params.values()), is_leaf=lambda value: isinstance(value, Jaxpr))
    return [with_constants(value) for value in values if isinstance(value, Jaxpr | ClosedJaxpr)]


def can_be_repeated(program: ClosedJaxpr) -> bool:
    """Tells whether a program can be evaluated and differentiated more than once.

    JAX keeps the structure of what a ``custom_vjp`` saves for its backward pass once an equation; with symbolic
    zeros it may differ with what is differentiated.
    """
    return all(
        not (equation.primitive.name == "custom_vjp_call" and equation.params["symbolic_zeros"])
        and all(map(can_be_repeated, programs_inside(equation)))
        for equation in program.jaxpr.eqns
    )


def numbered(names: list[str]) -> list[str]:
    """Returns the names of calls by which they can be told apart: what is called several times is numbered.

    Example:
        >>> numbered(["conv", "relu", "relu"])
        ['conv', 'relu:0', 'relu:1']
    """
    count, seen = collections.Counter(names), collections.Counter()
    result = []
    for name in names:
        result.append(name if count[name] == 1 else f"{name}:{seen[name]}")
        seen[name] += 1
    return result


def find_site(layer: str, sites: tuple[Site, ...]) -> int:
    """Returns the number of the site that a layer's name stands for.

    Raises:
        LayerError: If the layer is not reached, or is called more than once and the call is not named.
    """
    calls = numbered([site.name for site in sites])
    if layer in calls:
        return calls.index(layer)
    if layer.removesuffix(":0") in calls:  # of a layer that is called once
        return calls.index(layer.removesuffix(":0"))
    if f"{layer}:0" in calls:
        raise LayerError(
            f"Layer {layer!r} is called more than once. Name the call you mean, counted from 0: "
            f"'{layer}:0', '{layer}:1', ..."
        )
    require_layers([layer], calls)
    raise AssertionError


def _holds_an_example(variable: Var, place: Place) -> bool:
    lead = len(place.mapped)
    shape = variable.aval.shape  # type: ignore[attr-defined]
    return shape[:lead] == place.mapped and (not place.batched or shape[lead : lead + 1] == (1,))


def _of_one_example(variable: Var, place: Place) -> jax.ShapeDtypeStruct:
    aval: Any = variable.aval
    return jax.ShapeDtypeStruct(aval.shape[len(place.mapped) + place.batched :], aval.dtype)
