"""Words of a text from the pieces that a tokeniser cuts it into."""

import itertools
import re
from collections.abc import Sequence
from typing import NamedTuple

from gradcam_jax.errors import lookup

_ALONE = re.compile(r"<[^<>]*>|\[[A-Z]+\]|<\|.*\|>")  # </s>, <eos>, [SEP], <|endoftext|>
_MARKERS = {marker: marker for marker in ("▁", "Ġ", "##", "</w>", "@@", "")}
_BYTE = re.compile(r"<0x([0-9A-F]{2})>")  # SentencePiece's, for characters that are not among its pieces


class Span(NamedTuple):
    """A word, or any other part of a text.

    Attributes:
        text: What is read there.
        start: Its first token.
        stop: The token after its last.
    """

    text: str
    start: int
    stop: int


def group_pieces(pieces: Sequence[str], marker: str | None = None) -> list[Span]:
    """Puts a tokeniser's pieces together to words.

    Args:
        pieces: The text's tokens as the tokeniser spells them (``convert_ids_to_tokens``).
        marker: The tokeniser's convention, read off the pieces if left out: ``"▁"`` (SentencePiece) or ``"Ġ"``
            (byte-level BPE, as GPT-2's) before a piece that begins a word, ``"##"`` (WordPiece) before one that
            goes on, ``"</w>"`` (CLIP) after one that ends a word, ``"@@"`` after one that does not; ``""``: every
            piece is a word.

    Returns:
        The words in order. What no blank divides is one word: a comma belongs to the word before it, but where the
        convention marks what goes on. A special token such as ``</s>`` or ``[SEP]`` stands alone.

    Raises:
        InputError: If there is no such convention; the nearest are listed.

    Example:
        >>> group_pieces(["▁a", "▁yel", "low", "▁square", "</s>"])[1:3]
        [Span(text='yellow', start=1, stop=3), Span(text='square', start=3, stop=4)]
        >>> [word.text for word in group_pieces(["a", "gre", "##yh", "##ound"])]
        ['a', 'greyhound']
    """
    marker = _marker_of(pieces) if marker is None else lookup(_MARKERS, marker, "marker")
    edges = [
        index
        for index, piece in enumerate(pieces)
        if index == 0
        or _is_alone(piece)
        or _is_alone(pieces[index - 1])
        or _starts_a_word(pieces[index - 1], piece, marker)
    ]
    return [
        Span(_spelled(pieces[start:stop], marker), start, stop)
        for start, stop in itertools.pairwise([*edges, len(pieces)])
    ]


def _starts_a_word(before: str, piece: str, marker: str) -> bool:
    if marker == "##":
        return not piece.startswith("##")
    if marker in ("</w>", "@@"):
        return before.endswith(marker) == (marker == "</w>")
    beginnings = {"▁": "▁", "Ġ": ("Ġ", "Ċ"), "": ""}
    return piece.startswith(beginnings[marker])


def _marker_of(pieces: Sequence[str]) -> str:
    """Returns the convention of which there is a sign among the pieces."""
    pieces = [piece for piece in pieces if not _is_alone(piece)]
    for marker in ("▁", "Ġ"):
        if any(piece.startswith(marker) for piece in pieces):
            return marker
    if any(piece.startswith("##") and len(piece) > 2 for piece in pieces):
        return "##"
    for marker in ("</w>", "@@"):
        if any(piece.endswith(marker) and piece != marker for piece in pieces):
            return marker
    return ""


def _is_alone(piece: str) -> bool:
    return bool(_ALONE.fullmatch(piece)) and not _BYTE.fullmatch(piece)


def _spelled(pieces: Sequence[str], marker: str) -> str:
    if len(pieces) == 1 and _is_alone(pieces[0]):
        return pieces[0]
    if marker == "##":
        parts = [piece.removeprefix("##") for piece in pieces[1:]]
        return "".join([pieces[0], *parts])
    if marker in ("</w>", "@@"):
        return "".join(piece.removesuffix(marker) for piece in pieces)
    if marker == "Ġ":
        return _from_bytes("".join(pieces)).strip() or "".join(pieces)
    raw = b"".join(
        bytes([int(byte[1], 16)]) if (byte := _BYTE.fullmatch(piece)) else piece.replace("▁", " ").encode()
        for piece in pieces
    )
    return raw.decode(errors="replace").strip() or "".join(pieces)


def _from_bytes(text: str) -> str:
    """Returns what byte-level BPE spells with a printable character for each byte."""
    table = _byte_of_character()
    if not all(character in table for character in text):
        return text.replace("Ġ", " ")
    return bytes(table[character] for character in text).decode(errors="replace")


def _byte_of_character() -> dict[str, int]:
    """Returns GPT-2's table: printable bytes stand for themselves, the others for characters from 256 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + place): byte for place, byte in enumerate(others)}
