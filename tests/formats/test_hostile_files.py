"""Thousands of damaged files through every reader: errors or arrays come out, in bounded time and memory.

The number of files is GRADCAM_JAX_HOSTILE_FILES: 4,000 by default, 20,000 for the full check (about a
minute). Every mutation follows from the seed's name and a number, so a failure can be repeated: the message
names both.
"""

import contextlib
import io
import os
import time
import tracemalloc
import warnings
import zipfile
import zlib

import numpy as np
import pytest

from gradcam_jax.errors import CheckpointError
from gradcam_jax.formats.recognise import READERS, recognise_format
from tests.formats.seed_files import SEEDS, seed_bytes

FILES = int(os.environ.get("GRADCAM_JAX_HOSTILE_FILES", "4000"))

MAX_SECONDS = 5.0
# Python's own objects for a file of a few hundred bytes, and the zip directory's, take most of the first.
MAX_BYTES = 2 << 20
MAX_BYTES_PER_BYTE = 64

NUMBERS = [
    0,
    1,
    2,
    3,
    8,
    0x7F,
    0x80,
    0xFF,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFF,
    1 << 40,
    (1 << 63) - 1,
    1 << 63,
]


def mutate(content: bytes, other: bytes, random: np.random.Generator) -> bytes:
    """Damages a file in one to three of the ways in which files are damaged, or made to do harm."""
    content = bytearray(content)
    for _ in range(random.integers(1, 4)):
        at = int(random.integers(0, len(content) + 1))
        length = int(random.integers(1, 17))
        kind = random.integers(0, 8)
        if kind == 0:  # a flipped bit
            for position in random.integers(0, max(len(content), 1), 1 if len(content) else 0):
                content[position] ^= 1 << int(random.integers(0, 8))
        elif kind == 1:  # the end is missing
            del content[at:]
        elif kind == 2:  # a part is missing
            del content[at : at + length]
        elif kind == 3:  # a part occurs twice
            content[at:at] = content[at : at + length]
        elif kind == 4:  # noise
            content[at : at + length] = random.bytes(length)
        elif kind == 5:  # a number that is a count or an index gone wrong
            size = int(random.choice([1, 4, 8]))
            value = NUMBERS[random.integers(0, len(NUMBERS))] & ((1 << 8 * size) - 1)
            content[at : at + size] = value.to_bytes(size, "little")
        elif kind == 6:  # a part of another file
            start = int(random.integers(0, len(other)))
            content[at : at + length] = other[start : start + length]
        else:  # a small number somewhere else: a tag, a type, a field
            if at < len(content):
                content[at] = int(random.integers(0, 10))
    return bytes(content)


def mutate_members(content: bytes, other: bytes, random: np.random.Generator) -> bytes:
    """Damages one member of a zip archive and puts the checksums right, so that the damage is reached."""
    output = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(output, "w") as damaged:
        entries = archive.infolist()
        chosen = 0 if entries[0].filename.endswith("data.pkl") else int(random.integers(0, len(entries)))
        for number, entry in enumerate(entries):
            raw = archive.read(entry)
            raw = mutate(raw, other, random) if number == chosen else raw
            damaged.writestr(entry.filename, raw, entry.compress_type)
    return output.getvalue()


def touch(arrays: dict[str, np.ndarray]) -> None:
    """Reads every element, which would crash if a view reached outside its file."""
    for array in arrays.values():
        np.ascontiguousarray(array)


def read_hostile(path, format_name: str, size: int) -> bool:
    """Reads a file within the bounds; True when it could be read."""
    tracemalloc.reset_peak()
    before, start = tracemalloc.get_traced_memory()[0], time.process_time()
    with contextlib.suppress(CheckpointError):
        recognise_format(path)
    arrays, message = None, ""
    try:
        arrays = READERS[format_name](path)
    except CheckpointError as error:
        message = str(error)
    memory, seconds = tracemalloc.get_traced_memory()[1] - before, time.process_time() - start
    assert seconds < MAX_SECONDS
    assert memory < MAX_BYTES + MAX_BYTES_PER_BYTE * size
    if arrays is None:
        assert str(path) in message or message.startswith("two layers of the net")
        assert len(message) < 3000
        return False
    touch(arrays)
    return True


@pytest.fixture
def traced_memory():
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.usefixtures("traced_memory")
@pytest.mark.parametrize("name", SEEDS)
def test_damaged_files_are_errors_or_arrays(tmp_path, name):
    format_name = name.split()[0]
    content = seed_bytes(name, tmp_path)
    others = [seed_bytes(other, tmp_path) for other in SEEDS]
    path = tmp_path / "hostile"
    read = 0
    for number in range(-(-FILES // len(SEEDS))):
        random = np.random.default_rng([zlib.crc32(name.encode()), number])
        other = others[random.integers(0, len(others))]
        in_archive = content.startswith(b"PK") and number % 4
        damaged = (mutate_members if in_archive else mutate)(content, other, random)
        path.write_bytes(damaged)
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message="Duplicate name", category=UserWarning)
                read += read_hostile(path, format_name, len(damaged))
        except BaseException as error:  # Whatever escapes is the finding: say which file did it.
            error.add_note(f"seed {name!r}, mutation {number}: {damaged[:2000]!r}")
            raise
    assert read < FILES  # Some damage only changes a weight, but not all.


@pytest.mark.parametrize("name", SEEDS)
def test_every_format_is_refused_by_every_other_reader(tmp_path, name):
    path = tmp_path / "x"
    path.write_bytes(seed_bytes(name, tmp_path))
    for format_name, reader in READERS.items():
        if format_name != name.split()[0]:
            with pytest.raises(CheckpointError, match=str(path)):
                reader(path)


@pytest.mark.parametrize("name", [name for name in SEEDS if name.split()[0] in ("pytorch", "safetensors", "npz")])
def test_every_truncation_is_an_error(tmp_path, name):
    # The other formats' truncations are in their own tests, with the layouts that make a shorter file sound.
    content = seed_bytes(name, tmp_path)
    for length in range(len(content)):
        (tmp_path / "x").write_bytes(content[:length])
        with pytest.raises(CheckpointError):
            READERS[name.split()[0]](tmp_path / "x")
