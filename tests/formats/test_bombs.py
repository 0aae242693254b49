"""Small files made to cost much: every reader's time and memory stay in proportion to the file."""

import struct
import time
import tracemalloc

import pytest

from gradcam_jax.errors import CheckpointError
from gradcam_jax.formats.recognise import READERS
from tests.formats import caffe_writer, torch_writer

SIZE = 1 << 17

# An empty list is one byte of a pickle and 64 of Python; arrays cost nothing, they are views.
MAX_BYTES_PER_BYTE = 150
MAX_SECONDS = 10.0


def ints(*values):
    return struct.pack(f"<{len(values)}i", *values)


def key(number):
    return ints(1) + struct.pack("<d", number)


def pickled(program):
    return "pytorch", lambda path: torch_writer.write_zip(path, b"\x80\x02" + program + b".", {})


def binary(format_name, content):
    return format_name, lambda path: path.write_bytes(content)


BOMBS = {
    "pickle: many lists": pickled(b"]" * SIZE),
    "pickle: deep lists": pickled(b"]" * (SIZE // 2) + b"a" * (SIZE // 2 - 1)),
    "pickle: deep tuples": pickled(b")" + b"\x85" * SIZE),
    "pickle: a tuple of two of the last": pickled(b")" + b"q\x000h\x00h\x00\x86" * (SIZE // 8)),
    "pickle: such a tuple as a key": pickled(b"})" + b"q\x000h\x00h\x00\x86" * (SIZE // 8) + b"Ns"),
    "pickle: many memo entries": pickled(b"]" + b"\x94" * SIZE),
    "pickle: a huge memo index": pickled(b"]r\xff\xff\xff\x7f"),
    "pickle: many calls": pickled(b"ccollections\nOrderedDict\nq\x000" + b"h\x00)R" * (SIZE // 4)),
    "pickle: a long number": pickled(b"L" + b"9" * SIZE + b"L\n"),
    "torch7: many tables": binary(
        "torch7",
        ints(3, 1, SIZE // 24) + b"".join(key(n) + ints(3, n + 2, 0) for n in range(1, SIZE // 24 + 1)),
    ),
    "torch7: deep tables": binary("torch7", b"".join(ints(3, n, 1, 5, 1) for n in range(1, SIZE // 20)) + ints(0)),
    "torch7: deep functions": binary("torch7", ints(6, 0) * (SIZE // 8) + ints(0)),
    "torch7: a table inside itself": binary("torch7", ints(3, 1, SIZE) + (ints(3, 1) * 2) * (SIZE // 16)),
    "torch7: many numbers as text": binary(
        "torch7", b"4\n1\n3\nV 1\n19\ntorch.DoubleStorage\n%d\n" % (SIZE // 2) + b"1 " * (SIZE // 2)
    ),
    "caffemodel: many layers": binary("caffemodel", b"\x12\x00" * (SIZE // 2)),
    "caffemodel: many fields": binary("caffemodel", b"\x12\x02\x22\x00" + b"\x20\x01" * (SIZE // 2)),
    "caffemodel: many blobs": binary(
        "caffemodel",
        b"\x12" + caffe_writer.varint(SIZE // 7 * 7) + b"\x32\x05\x2d\x00\x00\x80\x3f" * (SIZE // 7),
    ),
    "caffemodel: runs of two kinds": binary(
        "caffemodel",
        b"".join(
            caffe_writer.delimited(
                100, caffe_writer.delimited(7, [(b"\x2d" + bytes(4) + b"\x08\x01") * (SIZE // 7)])
            )
        ),
    ),
}


@pytest.mark.parametrize("name", BOMBS)
def test_time_and_memory_stay_in_proportion(tmp_path, name):
    format_name, write = BOMBS[name]
    path = tmp_path / "bomb"
    write(path)
    tracemalloc.start()
    start = time.process_time()
    try:
        READERS[format_name](path)
    except CheckpointError as error:
        assert len(str(error)) < 3000  # noqa: PT017  A correct read is as good.
    seconds, memory = time.process_time() - start, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seconds < MAX_SECONDS
    assert memory < (1 << 20) + MAX_BYTES_PER_BYTE * path.stat().st_size
