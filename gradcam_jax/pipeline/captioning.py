"""Captions of many photos, whole and word by word: the generated ones, or each line's own."""

import warnings
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradcam_jax.attribution.gradients import pullback
from gradcam_jax.attribution.maps import grad_cam
from gradcam_jax.engine.precision import trunk_in_bfloat16
from gradcam_jax.images.preprocessing import Preprocessing
from gradcam_jax.models.captioner import MAX_WORDS, guided_captioner
from gradcam_jax.pipeline.items import Item
from gradcam_jax.pipeline.job import Head, Inputs, Job, Results, Title
from gradcam_jax.tasks.captioning import captions_from_vector, span_score
from gradcam_jax.text.captions import UnknownWordsWarning, decode_tokens, encode_caption
from gradcam_jax.zoo.captioners import LoadedCaptioner, example_inputs


def captioning_job(
    captioner: LoadedCaptioner,
    recipe: Preprocessing,
    size: int,
    *,
    layer: str,
    methods: tuple[str, ...] = ("grad_cam",),
    caption: str = "",
    beam_size: int = 3,
    length_exponent: float = 1.0,
    in_bfloat16: bool = False,
) -> Job:
    """Returns the job of explaining captions.

    Args:
        captioner: The model and its words.
        recipe: The preprocessing.
        size: Side of the network's image, in pixels.
        layer: The CNN's layer to map.
        methods: What is computed, of :data:`METHODS`; pixel gradients of the whole caption.
        caption: The caption for every photo that brings none itself; empty: the generated one.
        beam_size: Beginnings kept while captions are generated.
        length_exponent: How captions of different lengths are compared while generating.
        in_bfloat16: Whether the CNN is computed in bfloat16 up to the layer.

    Raises:
        InputError: If the caption cannot be read.
    """
    net, variables = captioner.model, captioner.variables
    if in_bfloat16:
        inputs = example_inputs(captioner.entry, size)
        variables = trunk_in_bfloat16(net, variables, layer, *inputs, method="word_scores")
    everywhere = _encoded(captioner, caption)

    def request(item: Item) -> dict[str, np.ndarray]:
        own = item.request.get("caption", "")
        tokens, length = _encoded(captioner, own) if own else everywhere
        return {"tokens": tokens, "length": length}

    def explain(variables: Any, head: Head, image: jax.Array, inputs: Inputs) -> Results:
        vector, _ = head(method="image_vector")({}, image)
        decoding = {"width": beam_size, "length_exponent": length_exponent}
        written = captions_from_vector(net, variables, vector, **decoding)
        given = inputs["length"] > 0
        tokens = jnp.where(given, inputs["tokens"], written.tokens[0])
        length = jnp.where(given, inputs["length"], written.length[0])
        word_scores, activations, gradients_of = pullback(head(method="word_scores"), image, tokens)
        spoken = _spoken(length)

        def explain_words(mask: jax.Array) -> jax.Array:
            gradients = gradients_of(lambda scores: span_score(scores, mask))
            return grad_cam(activations[layer], gradients[layer], rectify=False)

        cams = jax.vmap(explain_words)(jnp.concatenate([spoken[jnp.newaxis], jnp.diag(spoken)]))
        return {
            "cam": cams[:1],
            "word_cams": cams[1:],
            "tokens": tokens,
            "length": length,
            "scores": span_score(word_scores, spoken)[jnp.newaxis],
            "word_scores": word_scores * spoken,
        }

    def scores(head: Head, image: jax.Array, _: Inputs, results: Results) -> jax.Array:
        word_scores, _ = head(method="word_scores")({}, image, results["tokens"])
        return span_score(word_scores, _spoken(results["length"]))[jnp.newaxis]

    def text_of(results: Mapping[str, np.ndarray]) -> str:
        return decode_tokens(results["tokens"][: int(results["length"])], captioner.vocabulary)

    def describe(results: Mapping[str, np.ndarray]) -> dict[str, Any]:
        return {
            "prediction": text_of(results),
            "score": float(results["scores"][0]),
            "all_negative": bool(results["cam"][0].max() <= 0),
        }

    def titles(results: Mapping[str, np.ndarray]) -> list[Title]:
        return [Title(0, text_of(results), text_of(results))]

    return Job(
        settings={
            "task": "captioning",
            "model": captioner.name,
            "layer": layer,
            "methods": methods,
            "caption": caption,
            "beam_size": beam_size,
            "length_exponent": length_exponent,
        },
        recipe=recipe,
        size=size,
        model=net,
        guided_model=guided_captioner(net),
        variables=variables,
        layer=layer,
        request=request,
        trunk_options={"method": "image_vector"},
        explain=explain,
        scores=scores,
        describe=describe,
        titles=titles,
        in_bfloat16=in_bfloat16,
    )


def _encoded(captioner: LoadedCaptioner, caption: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns a caption's word indices and their number, or no words if there is no caption."""
    if not caption.strip():
        return np.full(MAX_WORDS, len(captioner.vocabulary), np.int32), np.array(0, np.int32)
    with warnings.catch_warnings():
        # Of a million captions not each can be warned about; UNK stands in the tokens.
        warnings.simplefilter("ignore", UnknownWordsWarning)
        encoded = encode_caption(caption, captioner.vocabulary)
    return encoded.tokens, np.array(len(encoded.words), np.int32)


def _spoken(length: jax.Array) -> jax.Array:
    """Marks a caption's words, ``(MAX_WORDS,)`` float32."""
    return (jnp.arange(MAX_WORDS) < length).astype(jnp.float32)
