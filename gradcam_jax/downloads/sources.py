"""A published file: its addresses, and what it must be."""

from typing import NamedTuple


class Digest(NamedTuple):
    """A published digest: an algorithm that ``hashlib`` knows, and its lower-case digits, or the first of them."""

    algorithm: str
    hexadecimal: str


class Source(NamedTuple):
    """One published file.

    Attributes:
        file_name: The name it is kept under.
        addresses: Where it is published, the author's own address first.
        terms: The licence or terms its authors name, in a few words.
        size: Its length in bytes, or None where it is not known; so too ``digest``.
        member: For an archive, the pattern of the one file in it that is needed; None for a plain file.
    """

    file_name: str
    addresses: tuple[str, ...]
    terms: str
    size: int | None = None
    digest: Digest | None = None
    member: str | None = None
