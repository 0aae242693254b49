"""A published file: its addresses, and what it must be."""

from typing import NamedTuple


class Digest(NamedTuple):
    """A published digest of a file.

    Attributes:
        algorithm: A name that ``hashlib`` knows, such as ``"sha256"``.
        hexadecimal: The digest in lower-case hexadecimal, or the first digits of it where no more is published.
    """

    algorithm: str
    hexadecimal: str


class Source(NamedTuple):
    """One published file.

    Attributes:
        file_name: The name it is kept under.
        addresses: Where it is published, the author's own address first.
        terms: The licence or terms its authors name, in a few words.
        size: Its length in bytes, or None where it is not known.
        digest: The digest of its bytes, or None where it is not known.
        member: For an archive, the pattern of the one file in it that is needed; None for a plain file.
    """

    file_name: str
    addresses: tuple[str, ...]
    terms: str
    size: int | None = None
    digest: Digest | None = None
    member: str | None = None
