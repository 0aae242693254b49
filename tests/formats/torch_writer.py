"""Writes `.pth` files in both layouts of `torch.save`, from numpy arrays, without PyTorch.

The pickle is assembled instruction by instruction (protocol 2, as PyTorch's default), so that tests can
also put in what no honest writer would.
"""

import pickle
import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C

STORAGE_CLASSES = {
    "float64": "DoubleStorage",
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "uint8": "ByteStorage",
    "int8": "CharStorage",
    "int16": "ShortStorage",
    "int32": "IntStorage",
    "int64": "LongStorage",
    "bool": "BoolStorage",
    "complex64": "ComplexFloatStorage",
}


def pickled_text(text: str) -> bytes:
    raw = text.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def pickled_integer(number: int) -> bytes:
    if -(1 << 31) <= number < 1 << 31:
        return b"J" + struct.pack("<i", number)
    return b"\x8a\x0a" + number.to_bytes(10, "little", signed=True)


def pickled_integers(numbers: Sequence[int]) -> bytes:
    return b"(" + b"".join(map(pickled_integer, numbers)) + b"t"


def pickled_tensor(
    key: str,
    storage_class: str,
    count: int,
    *,
    offset: int = 0,
    sizes: Sequence[int],
    strides: Sequence[int],
    legacy: bool = False,
) -> bytes:
    """The instructions that make one tensor, as `torch._utils._rebuild_tensor_v2` is called."""
    identity = pickled_text("storage") + f"ctorch\n{storage_class}\n".encode()
    identity += pickled_text(key) + pickled_text("cpu") + pickled_integer(count) + (b"N" if legacy else b"")
    hooks = b"ccollections\nOrderedDict\n)R"
    arguments = b"(" + identity + b"tQ" + pickled_integer(offset)
    arguments += pickled_integers(sizes) + pickled_integers(strides) + b"\x89" + hooks
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + arguments + b"tR"


def pickled_mapping(items: Mapping[str, bytes]) -> bytes:
    """The instructions that make a dictionary of values given as instructions."""
    return b"}(" + b"".join(pickled_text(name) + value for name, value in items.items()) + b"u"


def pickled_program(value: bytes) -> bytes:
    """A whole pickle that makes one value."""
    return b"\x80\x02" + value + b"."


def write_zip(
    path: Path,
    program: bytes,
    storages: Mapping[str, bytes],
    *,
    compression: int = 0,
    byte_order: str = "little",
) -> None:
    """Writes the zip layout: `archive/data.pkl`, `archive/data/<key>`, `archive/byteorder`."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", program)
        archive.writestr("archive/byteorder", byte_order)
        for key, raw in storages.items():
            archive.writestr(f"archive/data/{key}", raw)
        archive.writestr("archive/version", "3\n")


def write_legacy(path: Path, program: bytes, storages: Mapping[str, tuple[int, bytes]]) -> None:
    """Writes the legacy layout; `storages` maps a key to (number of elements, bytes)."""
    system = {
        "protocol_version": 1001,
        "little_endian": True,
        "type_sizes": {"short": 2, "int": 4, "long": 4},
    }
    parts = [pickle.dumps(value, protocol=2) for value in (LEGACY_MAGIC, 1001, system)]
    parts += [program, pickle.dumps(list(storages), protocol=2)]
    parts += [struct.pack("<q", count) + raw for count, raw in storages.values()]
    path.write_bytes(b"".join(parts))


def write_state_dict(path: Path, arrays: Mapping[str, np.ndarray], *, legacy: bool = False) -> None:
    """Writes contiguous arrays as a state dict, each with a storage of its own."""
    tensors, storages = {}, {}
    for number, (name, array) in enumerate(arrays.items()):
        strides = [stride // array.itemsize for stride in np.asarray(array, order="C").strides]
        storage_class = STORAGE_CLASSES[array.dtype.name]
        tensors[name] = pickled_tensor(
            str(number), storage_class, array.size, sizes=array.shape, strides=strides, legacy=legacy
        )
        storages[str(number)] = (array.size, array.tobytes())
    program = pickled_program(pickled_mapping(tensors))
    if legacy:
        write_legacy(path, program, storages)
    else:
        write_zip(path, program, {key: raw for key, (_, raw) in storages.items()})
