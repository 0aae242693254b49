"""How each task is asked about an object of a photo: which target, of which request, and how sure the model is.

A class is the most probable one of the object's group ("dog": 118 breeds); a question is "What animal?" with the
object's word as the answer; a caption is "a dog", of which the word is explained.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gradcam_jax.engine.core import Parts
from gradcam_jax.engine.spec import Choice, TargetScore, as_given, class_score, top_k
from gradcam_jax.experiments.data.words import OTHER, category_of, classes_of, with_article, word_of_category
from gradcam_jax.tasks.captioning import captioning
from gradcam_jax.tasks.classification import classification
from gradcam_jax.tasks.task import Plan, Request, Setting, Task
from gradcam_jax.tasks.vqa import vqa
from gradcam_jax.text.captions import caption_words, find_phrase
from gradcam_jax.text.ilsvrc import classes_named, imagenet_classes
from gradcam_jax.zoo import Loaded

PREDICTIONS = 5
"""How many of the highest predictions are localised."""


class Asking(NamedTuple):
    """A task that is asked about objects.

    Attributes:
        task: The task.
        plan: What is computed of a photo: the task's, with one target, chosen as it is asked for, and results
            ``cam`` and the other methods' maps ``(n, targets, h, w)``, and ``targets``.
        predicted: The same for the highest predictions, or None where there are none to be localised.
        arrays_of: From an object's word to what goes with the photo, or None if the model does not know the word.
        confidence: ``confidence(outputs, target)``: the target's probability.
        classes: The model's classes by the object's word; empty for other tasks.
    """

    task: Task
    plan: Plan
    predicted: Plan | None
    arrays_of: Callable[[str], Mapping[str, np.ndarray] | None]
    confidence: TargetScore
    classes: Callable[[str], tuple[int, ...]]


def asking(loaded: Loaded, setting: Setting) -> Asking:
    """Returns how a model's task is asked."""
    return {"classification": _classification, "vqa": _vqa, "captioning": _captioning}[loaded.entry.task](
        loaded, setting
    )


def given(plan: Plan) -> Plan:
    """Returns the plan for targets that are known already, as another run has chosen them."""
    return plan._replace(spec=plan.spec._replace(choose=as_given))


def _classification(loaded: Loaded, setting: Setting) -> Asking:
    task = classification(loaded, setting)
    named = classes_named(loaded.labels.entries)
    by_id = {class_.wnid: (class_.index,) for class_ in imagenet_classes()}
    own = {word_of_category(class_.name): (class_.index,) for class_ in named}
    is_ilsvrc = named == imagenet_classes()

    def classes(word: str) -> tuple[int, ...]:
        if is_ilsvrc:
            return classes_of(word) or by_id.get(word, ())
        return own.get(word, ())

    def arrays_of(word: str) -> Mapping[str, np.ndarray] | None:
        group = np.zeros((1, len(named)), bool)
        group[0, list(classes(word))] = True
        return {"targets": group} if group.any() else None

    best, highest = (_plan(task, choose) for choose in (_best_of_group, _highest))
    return Asking(task, best, highest, arrays_of, _class_probability, classes)


def _vqa(loaded: Loaded, setting: Setting) -> Asking:
    task = vqa(loaded, setting)

    def arrays_of(word: str) -> Mapping[str, np.ndarray] | None:
        if word not in loaded.labels:
            return None
        category = category_of(word)
        question = "What is this?" if category == OTHER else f"What {category}?"
        return task.encode({"question": question, "answer": word})

    return Asking(task, _plan(task, task.plan.spec.choose), None, arrays_of, _class_probability, lambda _: ())


def _captioning(loaded: Loaded, setting: Setting) -> Asking:
    task = captioning(loaded, setting)

    def arrays_of(word: str) -> Mapping[str, np.ndarray] | None:
        if not all(part in loaded.words for part in word.split()):
            return None
        request: Request = {"caption": with_article(word)}
        start, stop = find_phrase(word, caption_words(request["caption"]))
        encoded = task.encode(request)
        places = np.arange(len(encoded["tokens"]))
        mask = ((start <= places) & (places < stop)).astype(np.float32)
        return {**encoded, "targets": mask[np.newaxis]}

    return Asking(task, _plan(task, as_given), None, arrays_of, _span_probability, lambda _: ())


def _plan(task: Task, choose: Choice) -> Plan:
    spec = task.plan.spec
    only_cam = tuple(one for one in spec.maps if one[0] == "cam")
    return task.plan._replace(
        spec=spec._replace(choose=choose, maps=only_cam, guided_targets=(None, None, None)), summarise=_kept
    )


def _kept(parts: Parts) -> dict[str, jax.Array]:
    return {**parts.maps, "targets": parts.targets}


def _best_of_group(logits: jax.Array, groups: jax.Array) -> jax.Array:
    """Chooses the highest class of each group, ``(groups, classes)`` bool -> ``(groups,)`` int32."""
    among = jnp.where(groups, logits[jnp.newaxis], jnp.full_like(logits, -jnp.inf)[jnp.newaxis])
    return jnp.argmax(among, axis=-1).astype(jnp.int32)


def _highest(logits: jax.Array, targets: Any) -> jax.Array:
    del targets
    return top_k(min(PREDICTIONS, logits.shape[-1]))(logits).astype(jnp.int32)


def _class_probability(logits: jax.Array, class_index: jax.Array) -> jax.Array:
    return jnp.exp(class_score(jax.nn.log_softmax(logits), class_index))


def _span_probability(spoken: Any, mask: jax.Array) -> jax.Array:
    return jnp.exp(jnp.sum(spoken.words.log_probs * mask))
