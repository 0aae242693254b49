"""The sanity check of Adebayo et al.: a map that does not change when the model's weights do explains nothing.

Weights are randomised module by module from the output to the input, each time on top of what was randomised
before. An array is randomised by permuting its entries: its distribution stays, which needs no knowledge of how it
was initialised, and variances stay positive.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gradcam_jax.errors import InputError
from gradcam_jax.evaluation.agreement import map_agreement
from gradcam_jax.interception.tapped import Tapped, layer_shapes


class Cascade(NamedTuple):
    """How maps change as more and more of a model is randomised.

    Attributes:
        modules: The module with which each stage ends; everything after it, towards the output, is random too.
        similarity: Spearman's rank correlation of each map and the trained model's, ``(stages, n)``. It falls
            towards 0 where maps explain the model.
    """

    modules: tuple[str, ...]
    similarity: np.ndarray


def cascading_randomisation(
    forward: Tapped,
    maps_of: Callable[[Tapped], jax.Array],
    key: jax.Array,
    *example: Any,
    stages: int | Sequence[int] | None = None,
) -> Cascade:
    """Randomises a model from its output to its input and compares its maps with the trained model's.

    Weights are arguments of a compiled program: if ``maps_of`` calls :func:`gradcam_jax.explain`, nothing is
    compiled anew from stage to stage.

    Args:
        forward: The trained model, not :func:`gradcam_jax.prepared`.
        maps_of: From a forward to the maps of some images, ``(n, h, w)``.
        key: Of the permutations.
        *example: One example of the model's inputs, or its shapes: in which order its modules are called.
        stages: Number of stages of about as many modules each, or the number of modules of each stage; a stage a
            module unless given.

    Returns:
        A :class:`Cascade`.

    Raises:
        InputError: If there are fewer modules than stages, or as the stages have together.

    References:
        Adebayo et al., Sanity Checks for Saliency Maps, arXiv:1810.03292, section 4.1.
    """
    trained = maps_of(forward)
    names, similarities = [], []
    for name, random in randomised(forward, key, *example, stages=stages):
        names.append(name)
        similarities.append(np.asarray(_rank_correlations(maps_of(random), trained)))
    return Cascade(tuple(names), np.stack(similarities))


def randomised(
    forward: Tapped, key: jax.Array, *example: Any, stages: int | Sequence[int] | None = None
) -> Iterator[tuple[str, Tapped]]:
    """Yields the model with more and more of its modules randomised, and the module that came last.

    Args:
        forward: The trained model; it is not changed.
        key: Of the permutations.
        *example: As for :func:`cascading_randomisation`.
        stages: As for :func:`cascading_randomisation`.
    """
    modules = weighted_modules(forward, *example)[::-1]
    variables = forward.variables
    for part in _parts(len(modules), len(modules) if stages is None else stages):
        for place in part.tolist():
            variables = _with_permuted(variables, modules[place], jax.random.fold_in(key, place))
        yield modules[part[-1]], dataclasses.replace(forward, variables=variables)


def _parts(modules: int, stages: int | Sequence[int]) -> list[np.ndarray]:
    """Returns the places of the modules of each stage."""
    if isinstance(stages, int):
        if not 1 <= stages <= modules:
            raise InputError(f"Expected 1 to {modules} stages, the number of modules, got {stages} instead.")
        return np.array_split(np.arange(modules), stages)
    if min(stages, default=0) < 1 or sum(stages) > modules:
        sizes = ", ".join(map(str, stages))
        raise InputError(f"Expected stages of 1 or more of the {modules} modules, got {sizes} instead.")
    return np.split(np.arange(sum(stages)), np.cumsum(stages)[:-1])


def weighted_modules(forward: Tapped, *example: Any, after: str = "") -> tuple[str, ...]:
    """Returns the modules that have weights of their own, in the order of their first call.

    Args:
        forward: A tapped model.
        *example: One example of its inputs, or its shapes.
        after: A layer: only modules that are called after it, which a map of the layer looks through.

    Returns:
        Paths such as ``"block1/project"``; modules whose call is not seen stand at the end.

    Example:
        >>> import flax.linen as nn, gradcam_jax as gc
        >>> model = nn.Sequential([nn.Dense(4), nn.relu, nn.Dense(2)])
        >>> variables = model.init(jax.random.key(0), jnp.ones((1, 3)))
        >>> weighted_modules(gc.tapped(model, variables), jnp.ones(3))
        ('layers_0', 'layers_2')
        >>> weighted_modules(gc.tapped(model, variables), jnp.ones(3), after="layers_0")
        ('layers_2',)
    """
    layers = list(layer_shapes(forward, *example))
    places: dict[str, int] = {}
    for place, layer in enumerate(layers):
        places.setdefault(layer.split(":")[0].replace(".", "/"), place)
    start = layers.index(after if after in layers else f"{after}:0") if after else -1
    leaves, _ = jax.tree_util.tree_flatten_with_path(forward.variables)
    modules = list(dict.fromkeys(_module_of(path) for path, leaf in leaves if _is_weight(leaf)))
    modules = [module for module in modules if _place(module, places) > start]
    return tuple(sorted(modules, key=lambda module: _place(module, places)))


def _place(module: str, places: dict[str, int]) -> int:
    parts = module.split("/")
    outward = ("/".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((places[name] for name in outward if name in places), len(places))


def _module_of(path: Sequence[Any]) -> str:
    """Returns the module that a leaf belongs to: its path without the collections and without the leaf's name."""
    keys = [str(key.key) for key in path if isinstance(key, jax.tree_util.DictKey)]
    return "/".join(keys[2 if keys[0] == "variables" else 1 : -1])


def _is_weight(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jnp.floating)


def _with_permuted(variables: Any, module: str, key: jax.Array) -> Any:
    leaves, structure = jax.tree_util.tree_flatten_with_path(variables)

    def permuted(place: int, leaf: Any) -> jax.Array:
        return jax.random.permutation(jax.random.fold_in(key, place), jnp.ravel(leaf)).reshape(jnp.shape(leaf))

    return structure.unflatten(
        [
            permuted(place, leaf) if _is_weight(leaf) and _module_of(path) == module else leaf
            for place, (path, leaf) in enumerate(leaves)
        ]
    )


@jax.jit
def _rank_correlations(maps: jax.Array, references: jax.Array) -> jax.Array:
    return jax.lax.map(lambda pair: map_agreement(*pair).rank_correlation, (maps, references))
