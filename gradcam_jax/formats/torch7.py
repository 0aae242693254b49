"""Reads Torch7's ``.t7`` files, binary and text, without Torch.

A file is one object: a tag (nil, number, string, table, Torch object, boolean, function) and its payload, which
contains further objects. Tables, Torch objects and functions have an index; an index that occurs again stands for
the same object, so that objects share storages and can contain themselves. An object is therefore registered
before its contents are read.

Objects are read by generators that yield whenever they need an inner object, and a loop keeps them on a stack of
its own: nesting does not use Python's stack.

References:
    ``File.lua``, ``Tensor.lua`` and ``generic/Tensor.c``, ``generic/Storage.c`` of torch/torch7.
"""

import os
import re
from collections.abc import Callable, Generator
from types import GeneratorType
from typing import Any

import numpy as np

from gradcam_jax.errors import CheckpointError
from gradcam_jax.formats.mapped_file import MappedFile
from gradcam_jax.formats.strided import MAX_DIMENSIONS, strided_view
from gradcam_jax.formats.torch7_scalars import AsciiScalars, BinaryScalars
from gradcam_jax.formats.torch7_values import LuaFunction, Table, TorchObject

NIL, NUMBER, STRING, TABLE, TORCH, BOOLEAN, FUNCTION, LEGACY_RECURSIVE_FUNCTION, RECURSIVE_FUNCTION = range(9)

# Class name without "torch." and "Tensor" or "Storage" -> element. "Cuda" alone is float32.
_ELEMENTS = {
    "Byte": "<u1",
    "Char": "<i1",
    "Short": "<i2",
    "Int": "<i4",
    "Long": "<i8",
    "Half": "<f2",
    "Float": "<f4",
    "Double": "<f8",
}
_ELEMENTS |= {f"Cuda{name}": layout for name, layout in _ELEMENTS.items()} | {"Cuda": "<f4"}
_STORAGES = {f"torch.{name}Storage": np.dtype(layout) for name, layout in _ELEMENTS.items()}
_TENSORS = {f"torch.{name}Tensor": np.dtype(layout) for name, layout in _ELEMENTS.items()}

# Beyond this, not every integer is a double, and Lua could not have meant one.
_LARGEST_INTEGER = 2.0**53

# A generator that yields the reading of an inner object, is sent that object, and returns its own.
_Reading = Generator[Any, Any, Any]

_UNFINISHED = object()

MAX_DEPTH = 100_000
"""Readings in progress, two an object: far deeper than Lua's own stack, and some 40 MB of memory."""


def read_torch7(path: str | os.PathLike[str]) -> Any:
    """Reads a ``.t7`` file.

    Args:
        path: A file written by ``torch.save``, in binary or ASCII mode, recognised by content. In binary mode a C
            long has 8 bytes, or 4 if the file cannot be read so: it then comes from a 32-bit machine.

    Returns:
        The file's object. Lua tables become ``Table``, tensors and storages arrays, other Torch objects
        ``TorchObject``, functions ``LuaFunction``, strings str (UTF-8; other bytes are surrogate escapes),
        integral numbers int. A binary file's tensors are read-only views on it with the stored sizes and strides;
        tensors that shared a storage share it here.

    Raises:
        CheckpointError: If the file is not a Torch7 file or is damaged; the message names the byte and what was
            expected there.

    Example:
        ``read_torch7("lstm.t7")["encoder_w_q"]`` is the float32 vector of the question encoder's weights.
    """
    file = MappedFile(path)
    start = file.data[:4].tobytes()
    if re.match(rb"[0-8]\n", start):
        return _Torch7Reader(AsciiScalars(file)).read()
    if len(start) < 4 or start[0] > RECURSIVE_FUNCTION or any(start[1:]):
        raise file.error(0, f"expected a Torch7 file, which begins with a tag of 0 to 8, got the bytes {start!r}")
    wide, narrow = BinaryScalars(file, 8), BinaryScalars(file, 4)
    try:
        return _Torch7Reader(wide).read()
    except CheckpointError:
        try:
            return _Torch7Reader(narrow).read()
        except CheckpointError:
            if narrow.position > wide.position:
                raise  # Damaged for either length: the one with which more could be read is the file's.
        raise


class _Torch7Reader:
    """Reads the one object of a file; ``scalars`` knows whether it is binary or text."""

    def __init__(self, scalars: BinaryScalars | AsciiScalars):
        self._scalars = scalars
        self._file = scalars.file
        self._objects: dict[int, Any] = {}
        self._readers: dict[int, Callable[[int], _Reading]] = {
            TABLE: self._new_table,
            TORCH: self._new_torch_object,
            LEGACY_RECURSIVE_FUNCTION: self._new_function,
            RECURSIVE_FUNCTION: self._new_function,
        }

    def read(self) -> Any:
        """Reads the object and checks that the file ends with it."""
        root = self._run(self._object())
        if not self._scalars.at_end():
            raise self._fail("expected the end of the file after its object, got more bytes")
        return root

    def _run(self, value: Any) -> Any:
        """Runs a reading, and those that it yields, to its result; any other value is its own result."""
        stack: list[_Reading] = []
        while True:
            if isinstance(value, GeneratorType):
                if len(stack) == MAX_DEPTH:
                    raise self._fail(f"expected objects nested at most {MAX_DEPTH // 2} deep, got deeper ones")
                stack.append(value)
                value = None
            elif not stack:
                return value
            try:
                value = stack[-1].send(value)
            except StopIteration as finished:
                stack.pop()
                value = finished.value

    def _fail(self, problem: str, offset: int | None = None) -> CheckpointError:
        return self._file.error(self._scalars.position if offset is None else offset, problem)

    def _count(self, expected: str, min_bytes: int) -> int:
        """Returns a count of items of at least ``min_bytes`` each, which must fit into the rest of the file."""
        offset = self._scalars.position
        count = self._scalars.integer(expected)
        remaining = self._file.size - self._scalars.position
        if count < 0 or count * min_bytes > remaining:
            raise self._fail(f"expected {expected}, got {count} with {remaining} bytes left", offset)
        return count

    def _string(self, expected: str) -> str:
        length = self._count(f"the length of {expected}", 1)
        return self._scalars.characters(length, expected).decode("utf-8", "surrogateescape")

    def _object(self) -> Any:
        """Returns the next object's value, or its reading if it contains other objects."""
        offset = self._scalars.position
        tag = self._scalars.integer("an object's tag")
        if tag == NIL:
            return None
        if tag == NUMBER:
            number = self._scalars.double("a number")
            return int(number) if number.is_integer() and abs(number) <= _LARGEST_INTEGER else number
        if tag == STRING:
            return self._string("a string")
        if tag == BOOLEAN:
            return self._scalars.integer("a boolean") != 0
        if tag == FUNCTION:
            return self._function(LuaFunction())
        if tag not in self._readers:
            raise self._fail(f"expected an object's tag of 0 to 8, got {tag}", offset)
        index = self._scalars.integer("an object's index")
        if index not in self._objects:
            self._objects[index] = _UNFINISHED
            return self._register(index, self._readers[tag](index))
        if self._objects[index] is _UNFINISHED:
            raise self._fail(f"object {index}, a tensor or a storage, is said to contain itself", offset)
        return self._objects[index]

    def _register(self, index: int, reading: _Reading) -> _Reading:
        self._objects[index] = yield reading
        return self._objects[index]

    def _new_table(self, index: int) -> _Reading:
        self._objects[index] = table = Table()
        # A key is a tag and a payload, a value at least a tag.
        count = self._count("a table's number of entries", 3 * self._scalars.min_object_bytes)
        for _ in range(count):
            yield from self._entry(table)
        return table

    def _entry(self, table: Table) -> _Reading:
        offset = self._scalars.position
        key = yield self._object()
        if key is None or (isinstance(key, float) and key != key):
            raise self._fail("expected a table's key, got nil or not-a-number", offset)
        table[key] = yield self._object()

    def _new_function(self, index: int) -> _Reading:
        self._objects[index] = function = LuaFunction()
        return (yield self._function(function))

    def _function(self, function: LuaFunction) -> _Reading:
        size = self._count("the size of a function's bytecode", 1)
        self._scalars.skip_characters(size, "a function's bytecode")
        function.upvalues = yield self._object()
        return function

    def _new_torch_object(self, index: int) -> _Reading:
        # Files from before classes had versions begin with the class's name at once.
        class_name = self._string("a class's version or name")
        if class_name.startswith("V "):
            class_name = self._string("a class's name")
        if class_name in _STORAGES:
            return self._storage(self._scalars.stored_dtype(_STORAGES[class_name]), class_name)
        if class_name in _TENSORS:
            return (yield self._tensor(self._scalars.stored_dtype(_TENSORS[class_name]), class_name))
        if class_name in ("tds.Hash", "tds.Vec"):
            return (yield self._tds(index, is_hash=class_name == "tds.Hash"))
        self._objects[index] = instance = TorchObject(class_name)
        instance.fields = yield self._object()
        return instance

    def _storage(self, dtype: np.dtype, class_name: str) -> np.ndarray:
        count = self._scalars.long(f"the length of a {class_name}")
        return self._scalars.array(dtype, count, f"the {count} elements of a {class_name}")

    def _tensor(self, dtype: np.dtype, class_name: str) -> _Reading:
        offset = self._scalars.position
        dimensions = self._scalars.integer(f"a {class_name}'s number of dimensions")
        if not 0 <= dimensions <= MAX_DIMENSIONS:
            raise self._fail(
                f"expected 0 to {MAX_DIMENSIONS} dimensions of a {class_name}, got {dimensions}", offset
            )
        sizes = self._scalars.longs(dimensions, f"a {class_name}'s sizes")
        strides = self._scalars.longs(dimensions, f"a {class_name}'s strides")
        first = self._scalars.long(f"a {class_name}'s storage offset")
        storage = yield self._object()
        if storage is None:
            storage = np.empty(0, dtype)
        if not isinstance(storage, np.ndarray) or storage.ndim != 1 or storage.dtype != dtype:
            raise self._fail(f"expected the storage of a {class_name}, got another object", offset)
        if dimensions == 0:  # An empty tensor: Torch7 has no scalars.
            return np.empty(0, dtype)
        try:
            return strided_view(storage, first - 1, sizes, strides)
        except ValueError as error:
            raise self._fail(f"{class_name}: {error}", offset) from error

    def _tds(self, index: int, *, is_hash: bool) -> _Reading:
        """Reads a container of the package tds: a Hash becomes a table, a Vec a table with the keys 1 to n."""
        self._objects[index] = table = Table()
        count = self._count("a tds container's length", self._scalars.min_object_bytes)
        yield self._object()  # Its allocator's settings.
        for position in range(1, count + 1):
            if is_hash:
                yield from self._entry(table)
            else:
                table[position] = yield self._object()
        return table
