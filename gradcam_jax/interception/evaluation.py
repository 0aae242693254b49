"""Evaluates a traced program with some of its values read, shifted or replaced, and its rectifiers ruled anew.

Programs inside it are entered where something in them is to be changed: those of ``jit``, ``remat`` and ``scan``,
whose layers are counted call by call; for rectifiers also those of ``cond`` and ``while``. A function with a
derivative of its own (``custom_jvp``, ``custom_vjp``) is then differentiated as it is computed. What nothing asked
for needs is not evaluated.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, JaxprEqn, Literal, Var, jaxpr_as_fun

from gradcam_jax.errors import InputError, LayerError
from gradcam_jax.interception.elementwise import called, with_constants
from gradcam_jax.interception.marks import layer_p
from gradcam_jax.interception.sites import Place, read_body, rectifiers_inside

ReluRule = Callable[[Callable[..., jax.Array]], Callable[..., jax.Array]]
Records = dict[int, jax.Array]


class Edit(NamedTuple):
    """What is read and changed, by the numbers of the sites, of which the program's first has number 0.

    Attributes:
        read: Sites whose values are returned.
        taps: Site -> value that is added to its own.
        replaced: Site -> value that takes the place of its own; with a second array, a boolean, only if that is
            true.
        rule: Makes another function of a rectifier; None leaves the rectifiers as they are.
    """

    read: frozenset[int] = frozenset()
    taps: Mapping[int, jax.Array] = {}
    replaced: Mapping[int, tuple[jax.Array, ...]] = {}
    rule: ReluRule | None = None

    def touches(self, sites: range) -> bool:
        """Tells whether any of the sites is read or changed."""
        return any(site in sites for site in (*self.read, *self.taps, *self.replaced))


def evaluate(
    program: ClosedJaxpr, place: Place, edit: Edit, arguments: Sequence[Any], first: int = 0
) -> tuple[list[Any], Records]:
    """Evaluates a program.

    Args:
        program: A traced program.
        place: Where it is called.
        edit: What is read and changed.
        arguments: The program's.
        first: The number of its first site.

    Returns:
        Its results, and the values read by their sites.

    Raises:
        InputError: If rectifiers are in a program that cannot be entered.
    """
    body = read_body(program, place)
    values: dict[Var, Any] = dict(zip(program.jaxpr.constvars, program.consts, strict=True))
    values |= zip(program.jaxpr.invars, arguments, strict=True)
    records: Records = {}

    def value_of(atom: Any) -> Any:
        return atom.val if isinstance(atom, Literal) else values.get(atom)

    for index, sites in _needed(program, body, edit, first):
        equation = program.jaxpr.eqns[index]
        rectifier = body.rectifiers.get(equation.outvars[0]) if equation.outvars else None
        arguments = [value_of(atom) for atom in equation.invars]
        if equation.primitive is layer_p:
            results = [_visit(arguments[0], sites, body.places[index + 1], edit, records)]
        elif rectifier is not None:
            if edit.rule is not None and not _is_replaced(edit, sites):
                ruled = edit.rule(rectifier.function)
                results = [ruled(*map(value_of, (rectifier.source, *rectifier.operands)))]
            else:
                results = None if _is_replaced(edit, sites) else _bind(equation, arguments)
            value = results[0] if results else None
            results = [_visit(value, sites, body.places[index], edit, records)] if sites else results
        elif edit.touches(sites) or (edit.rule is not None and rectifiers_inside(program, index)):
            results, inner = _enter(equation, body.places[index], edit, arguments, sites.start)
            records |= inner
        else:
            results = _bind(equation, arguments)
        values |= zip(equation.outvars, results or (), strict=True)
    return [value_of(atom) for atom in program.jaxpr.outvars], records


def _needed(program: ClosedJaxpr, body: Any, edit: Edit, first: int) -> list[tuple[int, range]]:
    """Returns the equations that the results and the values read need, each with the numbers of its sites."""
    ranges, start = [], first
    for sites in body.sites:
        ranges.append(range(start, start + len(sites)))
        start += len(sites)
    needed = {atom for atom in program.jaxpr.outvars if isinstance(atom, Var)}
    chosen = []
    for index in reversed(range(len(ranges))):
        equation, sites = program.jaxpr.eqns[index], ranges[index]
        read = any(site in sites for site in edit.read)
        if not (read or equation.effects or needed.intersection(equation.outvars)):
            continue
        chosen.append((index, sites))
        output = equation.outvars[0] if equation.outvars else None
        single = equation.primitive is layer_p or output in body.rectifiers
        if single and _is_replaced(edit, sites):
            continue
        if output in body.rectifiers and edit.rule is not None:
            rectifier = body.rectifiers[output]
            needed |= {atom for atom in (rectifier.source, *rectifier.operands) if isinstance(atom, Var)}
        else:
            needed |= {atom for atom in equation.invars if isinstance(atom, Var)}
    return chosen[::-1]


def _is_replaced(edit: Edit, sites: range) -> bool:
    return len(sites) > 0 and all(len(edit.replaced.get(site, ())) == 1 for site in sites)


def _visit(value: Any, sites: range, place: Place, edit: Edit, records: Records) -> Any:
    """Reads and changes a value that holds one call of a layer, or several along its mapped axes."""
    if not edit.touches(sites):
        return value
    lead = len(place.mapped)
    if value is not None and place.batched and value.shape[lead : lead + 1] != (1,):
        raise LayerError(
            f"Expected layer {place.layer!r} to keep the batch axis of length 1 that it is given, got shape "
            f"{value.shape} instead. If the model takes one example: tapped(..., batch_axis=False)."
        )
    calls: list[Any] = [None] * len(sites)
    if value is not None:
        calls = list(value.reshape((len(sites), *value.shape[lead + place.batched :])))
    for call, site in enumerate(sites):
        if site in edit.replaced:
            other, *condition = edit.replaced[site]
            calls[call] = jnp.where(condition[0], other, calls[call]) if condition else other
        if site in edit.taps:
            calls[call] = calls[call] + edit.taps[site]
        if site in edit.read:
            records[site] = calls[call]
    shape = (*place.mapped, *((1,) if place.batched else ()), *calls[0].shape)
    return jnp.stack(calls).reshape(shape) if len(calls) > 1 else calls[0].reshape(shape)


def _bind(equation: JaxprEqn, arguments: Sequence[Any]) -> list[Any]:
    with equation.ctx.manager:
        results = equation.primitive.bind(*arguments, **equation.primitive.get_bind_params(equation.params))
    return list(results) if equation.primitive.multiple_results else [results]


def _enter(
    equation: JaxprEqn, place: Place, edit: Edit, arguments: list[Any], first: int
) -> tuple[list[Any], Records]:
    body = called(equation)
    if body is not None:
        return evaluate(body, place, edit, arguments, first)
    if equation.primitive.name not in _ENTERED:
        raise InputError(
            f"There are rectifiers inside {equation.primitive.name!r}, which is not entered. Give explain a "
            "second forward whose rectifiers carry the rule: explain(..., guided=guided_forward)."
        )
    return _ENTERED[equation.primitive.name](equation.params, place, edit, arguments, first)


def _enter_remat(params: Any, place: Place, edit: Edit, arguments: list[Any], first: int) -> Any:
    inner = functools.partial(evaluate, with_constants(params["jaxpr"]), place, edit, first=first)
    remat = jax.checkpoint(inner, prevent_cse=params["prevent_cse"], policy=params["policy"])
    return remat(arguments)


def _scan_counts(params: Any) -> tuple[int, int]:
    """Returns how many of a scan's inputs are constants, and how many are carried."""
    if "num_carry" in params:
        return params["num_consts"], params["num_carry"]
    constants, carry, _ = params["ft_in"].unpack()  # from JAX 0.11 on
    return len(constants), len(carry)


def _enter_scan(params: Any, place: Place, edit: Edit, arguments: list[Any], first: int) -> Any:
    """Scans over the edits too: the sites of one call of the body are numbered from 0."""
    program, length, (constant, carried) = params["jaxpr"], params["length"], _scan_counts(params)
    constants, rest = arguments[:constant], arguments[constant:]
    sites = read_body(program, place).all_sites
    count = len(sites)

    def numbers(site: int) -> list[int]:
        calls = range(first + site, first + count * length, count)
        return list(reversed(calls) if params["reverse"] else calls)

    def stacked(site: int, edits: Mapping[int, Any]) -> jax.Array:
        value = sites[site].value
        zeros = jnp.zeros(value.shape, value.dtype)
        return jnp.stack([edits.get(number, zeros) for number in numbers(site)])

    touched = {kind: [site for site in range(count) if any(number in edits for number in numbers(site))]
               for kind, edits in edit._asdict().items() if kind != "rule"}  # fmt: skip
    taps = {site: stacked(site, edit.taps) for site in touched["taps"]}
    replacing = {number: values[0] for number, values in edit.replaced.items()}
    replaced = {
        site: (stacked(site, replacing), jnp.array([number in edit.replaced for number in numbers(site)]))
        for site in touched["replaced"]
    }

    def step(carry: list[Any], xs: Any) -> Any:
        slices, taps, replaced = xs
        inner = Edit(frozenset(touched["read"]), taps, replaced, edit.rule)
        results, records = evaluate(program, place, inner, [*constants, *carry, *slices])
        return results[:carried], (results[carried:], records)

    carry, (outputs, records) = jax.lax.scan(
        step, rest[:carried], (rest[carried:], taps, replaced), length, params["reverse"], params["unroll"]
    )
    read = {number: records[site][call] for site in records for call, number in enumerate(numbers(site))}
    return [*carry, *outputs], {number: value for number, value in read.items() if number in edit.read}


def _enter_cond(params: Any, place: Place, edit: Edit, arguments: list[Any], first: int) -> Any:
    del first
    rule = Edit(rule=edit.rule)
    branches = [_results(branch, place, rule) for branch in params["branches"]]
    return jax.lax.switch(arguments[0], branches, *arguments[1:]), {}


def _enter_while(params: Any, place: Place, edit: Edit, arguments: list[Any], first: int) -> Any:
    del first
    split = params["cond_nconsts"], params["cond_nconsts"] + params["body_nconsts"]
    of_condition, of_body, carry = arguments[: split[0]], arguments[split[0] : split[1]], arguments[split[1] :]
    body = _results(params["body_jaxpr"], place, Edit(rule=edit.rule))

    def condition(carry: list[Any]) -> Any:
        return jaxpr_as_fun(params["cond_jaxpr"])(*of_condition, *carry)[0]

    return jax.lax.while_loop(condition, lambda carry: body(*of_body, *carry), carry), {}


def _results(program: ClosedJaxpr, place: Place, edit: Edit) -> Callable[..., list[Any]]:
    return lambda *arguments: evaluate(program, place, edit, arguments)[0]


_ENTERED = {"remat2": _enter_remat, "scan": _enter_scan, "cond": _enter_cond, "while": _enter_while}
