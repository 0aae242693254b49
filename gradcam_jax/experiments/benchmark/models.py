"""A model of the zoo to be timed, with random weights where its own are not here."""

from gradcam_jax import zoo
from gradcam_jax.text.ilsvrc import imagenet_classes
from gradcam_jax.text.vocabulary import Vocabulary


def published_entry(name: str) -> zoo.Entry:
    """Returns a classifier's entry at its preprocessing's size, as published, at which all competitors are timed.

    Raises:
        InputError: If there is no such model.
    """
    entry = zoo.find(name)
    return entry._replace(size=entry.preprocessing.size)


def load_or_random(name: str) -> zoo.Loaded:
    """Returns a classifier of the zoo: its weights if they are here, else He-normal ones, which take as long.

    Raises:
        InputError: If there is no such model.
    """
    entry = published_entry(name)
    if zoo.weights_path(entry) is not None:
        return zoo.load(name)._replace(entry=entry)
    model = entry.build()
    variables = zoo.random_variables(model, *zoo.example_inputs(entry))
    labels = Vocabulary(f"{class_.name} ({class_.label})" for class_ in imagenet_classes())
    return zoo.Loaded(entry, model, variables, labels, Vocabulary(()), None, {})
