"""Writes `.t7` files in Torch7's binary and ASCII layouts, from Python values, without Torch.

    write_torch7(path, {"weight": tensor(array), "sizes": [1, 2, 3]})

Values: None, bool, int, float, str, bytes; dict and list are tables; `LuaTable` is a table with any keys,
also itself; `Storage`, `Tensor`, `Object`, `Function`, `Tds`. As in Torch, an object that occurs twice is
written once, so tensors of one `Storage` share it. An exact `lstm.t7` is `write_torch7(path, {name:
tensor(vector, "Cuda"), ...})`.
"""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

DTYPES = {
    "Byte": "<u1",
    "Char": "<i1",
    "Short": "<i2",
    "Int": "<i4",
    "Long": "<i8",
    "Half": "<f2",
    "Float": "<f4",
    "Double": "<f8",
    "Cuda": "<f4",
    "CudaByte": "<u1",
    "CudaLong": "<i8",
    "CudaDouble": "<f8",
    "CudaHalf": "<f2",
}


@dataclass(eq=False)
class LuaTable:
    """A table as pairs; keys may be tables or objects. Append to `pairs` later to make a cycle."""

    pairs: list[tuple[Any, Any]] = field(default_factory=list)


@dataclass(eq=False)
class Storage:
    """A flat array of an element type named as in DTYPES."""

    array: np.ndarray
    element: str = "Float"


@dataclass(eq=False)
class Tensor:
    """A window on a storage; `offset` is 1-based, as in the file."""

    storage: Storage | None
    sizes: Sequence[int]
    strides: Sequence[int]
    offset: int = 1
    element: str = "Float"


@dataclass(eq=False)
class Object:
    """An object of another class; without a version it is written as files were before classes had one."""

    class_name: str
    fields: Any
    version: str | None = "V 1"


@dataclass(eq=False)
class Function:
    """A function; `tag` is 6 (without index), 7 or 8."""

    bytecode: bytes = b"\x1bLJ"
    upvalues: Any = None
    tag: int = 8


@dataclass(eq=False)
class Tds:
    """A `tds.Hash` (pairs) or `tds.Vec` (values)."""

    class_name: str
    entries: list


def row_major_strides(sizes: Sequence[int]) -> list[int]:
    return [math.prod(sizes[axis + 1 :]) for axis in range(len(sizes))]


def tensor(array: np.ndarray, element: str = "Float") -> Tensor:
    """A contiguous tensor with a storage of its own."""
    flat = np.ascontiguousarray(array, DTYPES[element]).reshape(-1)
    return Tensor(Storage(flat, element), array.shape, row_major_strides(array.shape), 1, element)


def flattened(arrays: Sequence[np.ndarray], element: str = "Float") -> tuple[Storage, list[Tensor]]:
    """One storage that holds the arrays one after the other, and a tensor for each (`getParameters`)."""
    flat = np.concatenate([np.asarray(array, DTYPES[element]).reshape(-1) for array in arrays])
    storage, tensors, offset = Storage(flat, element), [], 1
    for array in arrays:
        tensors.append(Tensor(storage, array.shape, row_major_strides(array.shape), offset, element))
        offset += array.size
    return storage, tensors


class BinaryOutput:
    """Scalars as little-endian bytes."""

    def __init__(self, file, long_bytes: int):
        self._file = file
        self.long_bytes = long_bytes

    def ints(self, *values: int) -> None:
        self._file.write(struct.pack(f"<{len(values)}i", *values))

    def longs(self, *values: int) -> None:
        self._file.write(struct.pack(f"<{len(values)}{'q' if self.long_bytes == 8 else 'i'}", *values))

    def double(self, value: float) -> None:
        self._file.write(struct.pack("<d", value))

    def characters(self, value: bytes) -> None:
        self._file.write(value)

    def array(self, array: np.ndarray, element: str) -> None:
        if element.endswith("Long") and self.long_bytes == 4:
            array = array.astype("<i4")
        self._file.write(memoryview(np.ascontiguousarray(array)).cast("B"))


class AsciiOutput:
    """Scalars as text: an array's numbers separated by blanks, each array ended by a newline."""

    def __init__(self, file):
        self._file = file

    def ints(self, *values: int) -> None:
        if values:
            self._file.write(" ".join(map(str, values)).encode() + b"\n")

    longs = ints

    def double(self, value: float) -> None:
        self._file.write(f"{value:.17g}\n".encode())

    def characters(self, value: bytes) -> None:
        self._file.write(value + b"\n" if value else b"")

    def array(self, array: np.ndarray, element: str) -> None:
        if array.dtype.itemsize == 1:
            self.characters(array.tobytes())
        elif array.size:
            digits = {"i": "d", "f": ".17g" if array.dtype == np.float64 else ".9g"}[array.dtype.kind]
            self._file.write(" ".join(format(value.item(), digits) for value in array).encode() + b"\n")


class _Writer:
    def __init__(self, output: BinaryOutput | AsciiOutput):
        self._output = output
        # Object -> index, by identity; the objects are kept, so that no identity is used twice.
        self._indices: dict[int, int] = {}
        self._kept: list[Any] = []

    def _string(self, value: bytes) -> None:
        self._output.ints(len(value))
        self._output.characters(value)

    def _is_new(self, tag: int, value: Any) -> bool:
        new = id(value) not in self._indices
        index = self._indices.setdefault(id(value), len(self._indices) + 1)
        self._kept.append(value)
        self._output.ints(tag)
        self._output.ints(index)
        return new

    def _head(self, class_name: str, version: str | None = "V 1") -> None:
        if version is not None:
            self._string(version.encode())
        self._string(class_name.encode())

    def write(self, value: Any) -> None:
        output = self._output
        if value is None:
            output.ints(0)
        elif isinstance(value, bool):
            output.ints(5)
            output.ints(int(value))
        elif isinstance(value, int | float):
            output.ints(1)
            output.double(float(value))
        elif isinstance(value, str | bytes):
            output.ints(2)
            self._string(value.encode() if isinstance(value, str) else value)
        elif isinstance(value, dict | list | LuaTable):
            self._table(value)
        elif isinstance(value, Function):
            self._function(value)
        elif self._is_new(4, value):
            self._torch(value)

    def _table(self, value: dict | list | LuaTable) -> None:
        if self._is_new(3, value):
            if isinstance(value, LuaTable):
                pairs = list(value.pairs)
            else:
                pairs = list(value.items() if isinstance(value, dict) else enumerate(value, 1))
            self._output.ints(len(pairs))
            for key, item in pairs:
                self.write(key)
                self.write(item)

    def _function(self, value: Function) -> None:
        if value.tag == 6:
            self._output.ints(6)
        elif not self._is_new(value.tag, value):
            return
        self._string(value.bytecode)
        self.write(value.upvalues)

    def _torch(self, value: Any) -> None:
        output = self._output
        if isinstance(value, Storage):
            self._head(f"torch.{value.element}Storage")
            output.longs(value.array.size)
            output.array(np.asarray(value.array, DTYPES[value.element]), value.element)
        elif isinstance(value, Tensor):
            self._head(f"torch.{value.element}Tensor")
            output.ints(len(value.sizes))
            output.longs(*value.sizes)
            output.longs(*value.strides)
            output.longs(value.offset)
            self.write(value.storage)
        elif isinstance(value, Tds):
            self._head(value.class_name)
            output.ints(len(value.entries))
            self.write(None)
            for entry in value.entries:
                for part in entry if value.class_name == "tds.Hash" else [entry]:
                    self.write(part)
        else:
            self._head(value.class_name, value.version)
            self.write(value.fields)


def write_torch7(path: Path, value: Any, *, ascii: bool = False, long_bytes: int = 8) -> None:
    """Writes one value as a `.t7` file."""
    with open(path, "wb") as file:
        _Writer(AsciiOutput(file) if ascii else BinaryOutput(file, long_bytes)).write(value)
