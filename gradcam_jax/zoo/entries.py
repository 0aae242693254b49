"""What the zoo knows of a model, and the formats that other programs' files of it may have."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from gradcam_jax.attribution.layouts import Layout, channels_last
from gradcam_jax.conversion.rules import Rule
from gradcam_jax.downloads.sources import Source
from gradcam_jax.images.preprocessing import Preprocessing

CAFFE, TORCH7, VOCABULARY = "caffemodel", "torch7", "vocabulary"
"""Formats of other programs' files: keys of :data:`gradcam_jax.formats.recognise.READERS`, and a vocabulary."""

NAMED = ("pytorch", "safetensors", "npz")
"""Formats that hold a PyTorch program's arrays under its own names."""


class Package(NamedTuple):
    """An installed package that carries weights: its import name, their path in it, the command to install it."""

    module: str
    file: str
    install: str


class Originals(NamedTuple):
    """How other programs' files become a model.

    Attributes:
        files: For each of the model's files, the formats that it may have.
        rules: The table from their arrays to the model's variables.
        ignore: Whether a key of theirs is known and not needed.
        layer_order: Two layers of the Caffe net, of which the first must come first.
        renamed: From a key to what the table calls it, for keys that another version of the program writes.
    """

    files: tuple[tuple[str, ...], ...]
    rules: Sequence[Rule]
    ignore: Callable[[str], bool] = lambda _: False
    layer_order: tuple[str, str] | None = None
    renamed: Callable[[str], str] = str


class Entry(NamedTuple):
    """One model of the zoo.

    Attributes:
        name: Its name.
        task: ``"classification"``, ``"vqa"`` or ``"captioning"``.
        build: Returns its Linen module, from the numbers of ``classes``; of ``words`` and ``answers``; or of
            ``words``. Further keywords are fields of the module.
        layer: The layer that is mapped unless another is named.
        preprocessing: Its preprocessing.
        size: Side of the image that it is explained at, in pixels.
        licence: The weights' terms.
        parameters: Its exact number of parameters, or None where it depends on the checkpoint's words.
        cnn: The classifier of the zoo whose weights its CNN has, or None. A checkpoint may leave them out.
        package: The package that carries its weights, or None.
        sources: The published files that it is made from.
        originals: How other programs' files become it, or None.
        trained_by: The command that trains it, or empty.
        layout: How the axes of its layers are arranged that have no height and width of their own.
        temperature: That answers' and words' scores are softened by, or None for the original program's: none of
            an answer's logit, and 1, the log-probability, of a word.
    """

    name: str
    task: str
    build: Callable[..., Any]
    layer: str
    preprocessing: Preprocessing
    size: int
    licence: str = ""
    parameters: int | None = None
    cnn: str | None = None
    package: Package | None = None
    sources: tuple[Source, ...] = ()
    originals: Originals | None = None
    trained_by: str = ""
    layout: Layout = channels_last
    temperature: float | None = None
