"""PyTorch's tensors as its files describe them: an element type, a storage, and a view on it."""

from dataclasses import dataclass

import numpy as np

from gradcam_jax.formats.restricted_pickle import Described


@dataclass(frozen=True)
class ElementType:
    """A stored element type; bfloat16, which numpy lacks, is the upper half of a float32."""

    dtype: np.dtype
    is_bfloat16: bool = False


@dataclass(frozen=True)
class StorageType:
    """A class of storages; ``element`` is None for the untyped one, which counts bytes."""

    element: ElementType | None


@dataclass(frozen=True)
class StorageReference:
    """Part of a storage.

    Attributes:
        key: The storage's name in the file.
        element: Its element type; None for an untyped storage, which counts bytes.
        total: Its number of elements.
        start: First element of the part.
        count: Number of elements of the part.
    """

    key: str
    element: ElementType | None
    total: int
    start: int
    count: int

    @property
    def item_bytes(self) -> int:
        """Bytes of one element."""
        return 1 if self.element is None else self.element.dtype.itemsize


@dataclass
class TensorDescription(Described):
    """A tensor before its bytes are known: elements ``offset + sum(index * stride)`` of the storage."""

    storage: StorageReference
    element: ElementType
    offset: int
    sizes: tuple[int, ...]
    strides: tuple[int, ...]


_NAMES = (
    *("float64", "float32", "float16", "uint8", "int8", "int16", "int32", "int64"),
    *("uint16", "uint32", "uint64", "bool", "complex64", "complex128"),
)
ELEMENTS = {name: ElementType(np.dtype(name).newbyteorder("<")) for name in _NAMES}
ELEMENTS["bfloat16"] = ElementType(np.dtype("<u2"), is_bfloat16=True)

STORAGE_ELEMENTS = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "ByteStorage": "uint8",
    "CharStorage": "int8",
    "ShortStorage": "int16",
    "IntStorage": "int32",
    "LongStorage": "int64",
    "BoolStorage": "bool",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
}
