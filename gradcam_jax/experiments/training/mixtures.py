"""Features of pictures with two objects, mixed from those of two pictures with one.

The CNN's features are means over positions, so those of two photos side by side are nearly the mixture of both, in
proportion to their areas. Mixing costs nothing: it shows a head many more pairs, in many more proportions, than
collages do, and teaches it to share its answer between two objects that are both there.
"""

from collections.abc import Sequence

import numpy as np

from gradcam_jax.experiments.data.photos import Box
from gradcam_jax.experiments.data.views import View, view_of
from gradcam_jax.experiments.data.words import ANIMAL, category_of

_LEAST = 0.3  # of the picture: the smaller of the two
_OTHERS = 0.25  # of the pairs: an animal and something else, the others two animals


def mixed_views(
    views: Sequence[View], pooled: np.ndarray, rng: np.random.Generator, count: int
) -> tuple[list[View], np.ndarray]:
    """Returns so many views of an animal beside another kind of object, and their pooled features.

    Args:
        views: Views with pixels, those of one part and one kind of object are mixed.
        pooled: Their features, non-negative, ``(views, features)`` float32.
        rng: Draws pairs and proportions.
        count: Of pairs; none are made where there are not two kinds.

    Returns:
        The views, which have features, but no pixels, and ``(count, features)`` float32.
    """
    kinds = {
        index: next(iter(words))
        for index, view in enumerate(views)
        if len(view.parts) == 1 and len(words := {item.word for item in view.objects}) == 1
    }
    animals = [index for index, word in kinds.items() if category_of(word) == ANIMAL]
    others = [index for index, word in kinds.items() if category_of(word) != ANIMAL]
    if len({kinds[index] for index in animals}) < 2:
        return [], pooled[:0]
    mixed, features = [], np.empty((count, pooled.shape[1]), np.float32)
    while len(mixed) < count:
        pool = others if others and rng.random() < _OTHERS else animals
        first, second = animals[rng.integers(len(animals))], pool[rng.integers(len(pool))]
        if kinds[first] == kinds[second]:
            continue
        share = float(rng.uniform(_LEAST, 1 - _LEAST))
        left, right = Box(0, 0, share, 1), Box(share, 0, 1, 1)
        features[len(mixed)] = share * pooled[first] + (1 - share) * pooled[second]
        mixed.append(
            view_of(views[first].parts[0]._replace(place=left), views[second].parts[0]._replace(place=right))
        )
    return mixed, features
