"""Where the names of a classifier's classes come from when its weights are converted."""

from collections.abc import Callable

from gradcam_jax.text.ilsvrc import imagenet_classes
from gradcam_jax.text.labels import Names, names_of_classes
from gradcam_jax.zoo.checkpoint import card_of
from gradcam_jax.zoo.originals import Arrays, File, head_of


def class_names(found: Arrays, file: File, labels: Names, say: Callable[[str], object]) -> tuple[str, ...]:
    """Returns the names of a classifier's classes, and says where they are from."""
    bias = next((rule.source for rule in found.rules if rule.target == head_of(found.rules)[-1]), "")
    count = found.arrays[bias].size if bias in found.arrays else 0
    if labels:
        return names_of_classes(labels, count, file.path.name)
    card = card_of(file.path) if file.format == "safetensors" else None
    if card is not None and card.labels:
        return names_of_classes(card.labels, count, file.path.name)
    published = published_names()
    if count in (0, len(published)) and not found.own_head:
        say(f"{file.path}: its {len(published):,} classes are taken for ILSVRC's; --labels FILE names others")
        return published
    say(f"{file.path}: its {count:,} classes have no names, so they are numbered from 1; --labels FILE names them")
    return names_of_classes("", count, file.path.name)


def published_names() -> tuple[str, ...]:
    """Returns the names of ILSVRC's classes, which the zoo's classifiers are published with."""
    return tuple(class_.name for class_ in imagenet_classes())
