"""Explains a caption of a photo, word by word: the original program's ``captioning.lua``, and more."""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from gradcam_jax.app import output
from gradcam_jax.app.classification import find_recipe, input_size
from gradcam_jax.engine.explanation import Explanation
from gradcam_jax.errors import InputError
from gradcam_jax.images import preprocessing
from gradcam_jax.images.photos import read_photo
from gradcam_jax.images.sample import sample_photo
from gradcam_jax.models.captioner import MAX_WORDS
from gradcam_jax.pictures import rendering
from gradcam_jax.pictures.caption import WordMap, save_animation, word_frames, word_rows
from gradcam_jax.tasks.captioning import explain_caption, write_captions
from gradcam_jax.text.captions import Caption, encode_caption, find_phrase, span_mask, word_masks
from gradcam_jax.text.vocabulary import UNKNOWN, Vocabulary
from gradcam_jax.zoo import captioners
from gradcam_jax.zoo.captioners import LoadedCaptioner, load_captioner

EXPLAINING_SIZE = {"captioner_lite0": 320}
"""Sides of the image where they are not the recipe's: a head trained at 224 points better with a 10x10 map."""


LENGTH_EXPONENT = 0.5
"""Chosen by CIDEr and BLEU-4 on validation photos: neuraltalk2's plain sum favours captions that stop early."""


@dataclasses.dataclass(frozen=True)
class Options:
    """What the user asked for; the names are the command line's.

    Attributes:
        input_image_path: A photo, or empty for the sample photo.
        caption: The caption to explain, or empty for the generated one.
        phrases: Comma-separated phrases of the caption to explain as well.
        model_path: A captioner's name, or a checkpoint of one.
        layer: The layer to map, by name or 1-based number, or empty for the model's own.
        beam_size: Beginnings kept while captions are generated; 1 is the original program's greedy choice.
        length_exponent: How captions of different lengths are compared while generating; 0 is neuraltalk2's sum.
        keep_case: Whether capitals of a given caption are left, as in the original program.
        input_sz: Side of the network's image, in pixels, or 0 for the model's own.
        recipe: A preprocessing recipe, or empty for the model's own.
        out_path: The output folder.
        save_as_heatmap: Whether the map is saved in colour (else in grey).
    """

    input_image_path: str = ""
    caption: str = ""
    phrases: str = ""
    model_path: str = captioners.DEFAULT
    layer: str = ""
    beam_size: int = 3
    length_exponent: float = LENGTH_EXPONENT
    keep_case: bool = False
    input_sz: int = 0
    recipe: str = ""
    out_path: str = "output"
    save_as_heatmap: bool = True


class Generated(NamedTuple):
    """A caption that the model wrote, with the sum of its words' and END's log-probabilities."""

    caption: Caption
    log_prob: float


def run(options: Options, say: Callable[[str], None] = lambda _: None) -> list[Path]:
    """Explains one photo's caption and writes the pictures and numbers.

    Args:
        options: What the user asked for.
        say: Takes each line of the report.

    Returns:
        The files written.

    Raises:
        InputError: If something asked for cannot be had; nothing is left half-written.
    """
    captioner = load_captioner(options.model_path)
    recipe = find_recipe(options.recipe) if options.recipe else captioner.entry.recipe
    size = input_size(options.input_sz or EXPLAINING_SIZE.get(captioner.name, 0), recipe)
    given = (
        encode_caption(options.caption, captioner.vocabulary, lower=not options.keep_case)
        if options.caption.strip()
        else None
    )
    layer = captioners.find_layer(captioner, options.layer, size)
    folder = output.make_folder(options.out_path)
    photo = read_photo(options.input_image_path) if options.input_image_path else sample_photo()
    resized = recipe.resize(photo, size)
    image = preprocessing.to_network(resized.image, recipe)

    generated = generate(captioner, image, options.beam_size, options.length_exponent)
    caption = given or generated[0].caption
    spans = [find_phrase(phrase, caption.words) for phrase in _phrases(options.phrases)]
    masks = np.concatenate([word_masks(len(caption.words)), *(span_mask(*span)[np.newaxis] for span in spans)])
    explain = jax.jit(functools.partial(explain_caption, captioner.model), static_argnums=1)
    explained = jax.device_get(explain(captioner.variables, layer, image, caption.tokens, masks))
    explanation = explained._replace(
        guided_backprop=preprocessing.to_rgb(explained.guided_backprop, recipe),
        guided_grad_cam=preprocessing.to_rgb(explained.guided_grad_cam, recipe),
    )

    say(f"{options.input_image_path or 'sample photo'} through {captioner.name} ({layer}, {size}x{size})")
    if given is None:
        say("No caption provided, using generated caption for Grad-CAM.")
    for one in generated:
        say(f"Generated caption:\t{one.caption.text}  (log-probability {one.log_prob:.2f})")
    say(f"Grad-CAM caption:\t{caption.text}  (log-probability of its words {float(explanation.scores[0]):.2f})")
    for word, score, cam in zip(caption.words, explanation.scores[1:], explanation.cam[1:], strict=False):
        nothing = "" if cam.max() > 0 else "  - no position speaks for it: its map is blank"
        say(f"  {word:<14}{math.exp(float(score)):7.1%}{nothing}")
    name = output.safe_name(options.caption.strip() or caption.text)
    files = _save_pictures(folder, name, options, photo, resized.box, caption, spans, explanation)
    record = _record(captioner, layer, size, recipe.name, caption, generated, spans, explanation)
    count = len(caption.words)
    files += [
        output.save_arrays(
            folder / "explanation.npz",
            cam=explanation.cam[:1],
            word_cams=explanation.cam[1 : 1 + count],
            phrase_cams=explanation.cam[1 + count :],
            heatmap=explanation.heatmap[:1],
            guided_backprop=explanation.guided_backprop[:1],
            guided_grad_cam=explanation.guided_grad_cam[:1],
        ),
        output.save_record(folder / "explanation.json", record),
    ]
    say(f"wrote {len(files)} files to {folder}")
    return files


def list_layers(options: Options, say: Callable[[str], None]) -> None:
    """Says which layers can be mapped, in the order of their numbers, with their shapes."""
    captioner = load_captioner(options.model_path)
    size = options.input_sz or EXPLAINING_SIZE.get(captioner.name)
    for number, (name, shape) in enumerate(captioners.spatial_layers(captioner, size).items(), 1):
        say(f"{number:>4}  {name:<32}{'x'.join(map(str, shape))}")


def generate(
    captioner: LoadedCaptioner, image: jax.Array, width: int, length_exponent: float = LENGTH_EXPONENT
) -> list[Generated]:
    """Writes captions of an image, best first; those without a word are left out.

    Args:
        captioner: The captioner.
        image: What its CNN takes, ``(H, W, 3)``.
        width: Beginnings kept.
        length_exponent: See :func:`gradcam_jax.models.decoding.beam_search`.

    Raises:
        InputError: If the beam is too wide, or no caption has a word.
    """
    decode = functools.partial(write_captions, captioner.model, width=width, length_exponent=length_exponent)
    write = jax.jit(decode)
    found = jax.device_get(write(captioner.variables, image))
    captions = [
        Generated(_caption_of(tokens[:length], captioner.vocabulary), float(log_prob))
        for tokens, length, log_prob in zip(found.tokens, found.length, found.log_prob, strict=True)
        if length > 0 and math.isfinite(log_prob)
    ]
    if not captions:
        raise InputError("The model wrote an empty caption. Give one:  --caption 'a dog and a cat'")
    return captions


def _caption_of(tokens: np.ndarray, vocabulary: Vocabulary) -> Caption:
    words = tuple(vocabulary.entries[token] for token in tokens)
    padded = np.full(MAX_WORDS, len(vocabulary), np.int32)
    padded[: len(words)] = tokens
    return Caption(words, tuple(word != UNKNOWN for word in words), padded)


def _phrases(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _save_pictures(
    folder: Path,
    name: str,
    options: Options,
    photo: np.ndarray,
    box: tuple[float, float, float, float],
    caption: Caption,
    spans: Sequence[tuple[int, int]],
    explanation: Explanation,
) -> list[Path]:
    heatmap, pixels, fine = (
        np.asarray(values[0])
        for values in (explanation.heatmap, explanation.guided_backprop, explanation.guided_grad_cam)
    )
    laid = rendering.overlay(photo, heatmap, box)
    shape = (max(round(box[3] - box[1]), 1), max(round(box[2] - box[0]), 1))
    words = [
        WordMap(word, float(score), np.asarray(word_map))
        for word, score, word_map in zip(
            caption.words, explanation.scores[1:], explanation.heatmap[1:], strict=False
        )
    ]
    whole = rendering.Row(
        "The whole caption: red is where the photo speaks most for it",
        [
            ("photo", photo),
            ("Grad-CAM", laid),
            ("guided backprop", rendering.stretch_to(rendering.centred_gradient_picture(pixels), shape)),
            ("Guided Grad-CAM", rendering.stretch_to(rendering.centred_gradient_picture(fine), shape)),
        ],
    )
    rows = [whole, *word_rows(photo, words, box)]
    phrase_maps = np.asarray(explanation.heatmap[1 + len(words) :])
    if spans:
        tiles = [
            (" ".join(caption.words[start:stop]), rendering.overlay(photo, phrase_map, box))
            for (start, stop), phrase_map in zip(spans, phrase_maps, strict=True)
        ]
        rows.append(rendering.Row("Phrases", tiles))
    picture = rendering.panel(rows, heading=f"Why '{caption.text}'?", height=220)
    coloured = (
        output.save_picture(rendering.heat_map(heatmap), folder / f"caption_gcam_hm_{name}.png")
        if options.save_as_heatmap
        else output.save_picture(rendering.grey_map(heatmap), folder / f"caption_gcam_{name}.png")
    )
    return [
        coloured,
        output.save_picture(rendering.gradient_picture(pixels), folder / f"caption_gb_{name}.png"),
        output.save_picture(rendering.gradient_picture(fine), folder / f"caption_gb_gcam_{name}.png"),
        output.save_picture(laid, folder / f"caption_overlay_{name}.png"),
        output.save_picture(picture, folder / f"caption_panel_{name}.png"),
        save_animation(word_frames(photo, words, heatmap, box), folder / f"caption_words_{name}.gif"),
    ]


def _record(
    captioner: LoadedCaptioner,
    layer: str,
    size: int,
    recipe: str,
    caption: Caption,
    generated: Sequence[Generated],
    spans: Sequence[tuple[int, int]],
    explanation: Explanation,
) -> dict[str, Any]:
    count = len(caption.words)
    blank = [bool(cam.max() <= 0) for cam in explanation.cam]
    scores = [float(score) for score in explanation.scores]
    return {
        "task": "captioning",
        "model": captioner.name,
        "layer": layer,
        "input_size": size,
        "recipe": recipe,
        "caption": caption.text,
        "log_prob": scores[0],
        "all_negative": blank[0],
        "generated": [{"caption": one.caption.text, "log_prob": one.log_prob} for one in generated],
        "words": [
            {"word": word, "known": known, "log_prob": score, "all_negative": nothing}
            for word, known, score, nothing in zip(
                caption.words, caption.known, scores[1:], blank[1:], strict=False
            )
        ],
        "phrases": [
            {
                "phrase": " ".join(caption.words[slice(*span)]),
                "words": span,
                "log_prob": score,
                "all_negative": nothing,
            }
            for span, score, nothing in zip(spans, scores[1 + count :], blank[1 + count :], strict=True)
        ],
    }
