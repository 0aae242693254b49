"""The names that a PyTorch pickle may use: tensors, described without their bytes, and plain containers.

They are those that ``torch.save`` writes; every other name is refused. Nothing is imported for them: a storage
becomes a :class:`StorageReference` and a tensor a :class:`TensorDescription`, whose bytes are read later.

References:
    ``torch/_utils.py`` (``_rebuild_*``) and ``torch/serialization.py`` (``persistent_id``) define the order of the
    arguments.
"""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from gradcam_jax.formats.mapped_file import shown
from gradcam_jax.formats.restricted_pickle import Builder, Described
from gradcam_jax.formats.torch_tensors import (
    ELEMENTS,
    STORAGE_ELEMENTS,
    ElementType,
    StorageReference,
    StorageType,
    TensorDescription,
)


@dataclass
class _NumpyDtype(Described):
    """A scalar's numpy dtype; its state has the byte order."""

    code: str
    order: str = "|"

    def set_state(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) < 2 or state[1] not in ("<", ">", "|", "="):
            raise ValueError(f"expected a numpy dtype's state with a byte order, got {shown(state)}")
        self.order = state[1]


def find_global(module: str, name: str) -> Any:
    """Returns the builder or constant of an allowed name; raises LookupError for every other name."""
    return _GLOBALS[module, name]


def find_storage(identity: Any) -> StorageReference:
    """Returns the storage of a persistent id; raises ValueError for any other id."""
    match identity:
        case ("storage", StorageType(element=element), str(key), str(), int(total)):
            reference = StorageReference(key, element, total, 0, total)
        case ("storage", StorageType(element=element), str(key), str(), int(total), None):
            reference = StorageReference(key, element, total, 0, total)
        case (
            "storage",
            StorageType(element=element),
            str(key),
            str(),
            int(total),
            (_, int(start), int(count)),
        ):
            reference = StorageReference(key, element, total, start, count)
        case _:
            raise ValueError(f"expected the identity of a tensor's storage, got {shown(identity)}")
    if not 0 <= reference.start <= reference.start + reference.count <= total:
        raise ValueError(f"the storage {shown(key)} has an impossible length or view: {total} elements")
    return reference


def _integers(value: Any, meaning: str) -> tuple[int, ...]:
    if not isinstance(value, tuple) or not all(type(number) is int for number in value):
        raise ValueError(f"expected a tuple of integers as the tensor's {meaning}, got {shown(value)}")
    return value


def _describe(storage: Any, offset: Any, sizes: Any, strides: Any, element: Any) -> TensorDescription:
    if not isinstance(storage, StorageReference):
        raise ValueError(f"expected a storage, got {shown(storage)}")
    if type(offset) is not int:
        raise ValueError(f"expected an integer as the tensor's offset, got {shown(offset)}")
    if not isinstance(element, ElementType):
        raise ValueError(f"expected a storage with a type, or a type beside it, got {shown(element)}")
    return TensorDescription(storage, element, offset, _integers(sizes, "size"), _integers(strides, "stride"))


def _rebuild_tensor(arguments: tuple) -> TensorDescription:
    # _rebuild_tensor and _rebuild_tensor_v2: storage, offset, size, stride; then gradient flags and hooks, unused.
    if len(arguments) < 4:
        raise ValueError(f"expected at least 4 arguments, got {len(arguments)}")
    storage, offset, sizes, strides = arguments[:4]
    if isinstance(arguments[-1], dict) and len(arguments) == 7 and arguments[-1]:
        raise ValueError("the tensor is marked as conjugated or negated, which is not supported")
    return _describe(storage, offset, sizes, strides, getattr(storage, "element", None))


def _rebuild_tensor_v3(arguments: tuple) -> TensorDescription:
    if len(arguments) < 7:
        raise ValueError(f"expected at least 7 arguments, got {len(arguments)}")
    storage, offset, sizes, strides = arguments[:4]
    return _describe(storage, offset, sizes, strides, arguments[6])


def _rebuild_parameter(arguments: tuple) -> TensorDescription:
    if not arguments or not isinstance(arguments[0], TensorDescription):
        raise ValueError("expected a tensor to make the parameter from")
    return arguments[0]


def _ordered_dict(arguments: tuple) -> dict:
    if not arguments:
        return {}
    # Python 2 wrote the items as one list of [key, value] lists.
    items = arguments[0]
    if not isinstance(items, list) or not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in items):
        raise ValueError(f"expected a list of pairs, got {shown(items)}")
    if not all(isinstance(key, str | int) for key, _ in items):
        raise ValueError("expected strings or integers as keys")
    return dict(items)


def _only(arguments: tuple, kind: type) -> Any:
    if len(arguments) != 1 or not isinstance(arguments[0], kind):
        raise ValueError(f"expected one {kind.__name__}, got {len(arguments)} arguments")
    return arguments[0]


def _size(arguments: tuple) -> tuple[int, ...]:
    return _integers(_only(arguments, tuple), "size")


def _complex(arguments: tuple) -> complex:
    match arguments:
        case (float(real), float(imaginary)):
            return complex(real, imaginary)
    raise ValueError("expected two floats")


def _device(arguments: tuple) -> str:
    if not arguments or not isinstance(arguments[0], str):
        raise ValueError("expected the device's name")
    return arguments[0]


def _encode(arguments: tuple) -> bytes:
    # Protocol 2 writes bytes as text whose characters are the bytes.
    match arguments:
        case (str(text), "latin1" | "latin-1"):
            return text.encode("latin-1")
    raise ValueError("expected text and the encoding latin1")


def _numpy_dtype(arguments: tuple) -> _NumpyDtype:
    match arguments:
        case (str(code), *_) if re.fullmatch("b1|[iu][1248]|f[248]|c8|c16", code):
            return _NumpyDtype(code)
    raise ValueError("expected the code of a number, such as f8")


def _numpy_scalar(arguments: tuple) -> np.generic:
    match arguments:
        case (_NumpyDtype(code=code, order=order), bytes(raw)):
            return np.frombuffer(raw, np.dtype(order + code), count=1)[0]
    raise ValueError("expected a dtype and the bytes of one number")


def _globals() -> dict[tuple[str, str], Any]:
    table: dict[tuple[str, str], Any] = {("torch", name): element for name, element in ELEMENTS.items()}
    for name, element in STORAGE_ELEMENTS.items():
        for module in ("torch", "torch.cuda", "torch.storage"):
            table[module, name] = StorageType(ELEMENTS[element])
    table["torch.storage", "UntypedStorage"] = StorageType(None)
    builders = {
        ("torch._utils", "_rebuild_tensor"): _rebuild_tensor,
        ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
        ("torch._utils", "_rebuild_tensor_v3"): _rebuild_tensor_v3,
        ("torch._utils", "_rebuild_parameter"): _rebuild_parameter,
        ("torch._utils", "_rebuild_parameter_with_state"): _rebuild_parameter,
        ("torch", "Size"): _size,
        ("torch", "device"): _device,
        ("collections", "OrderedDict"): _ordered_dict,
        ("_codecs", "encode"): _encode,
        ("numpy", "dtype"): _numpy_dtype,
        ("numpy.core.multiarray", "scalar"): _numpy_scalar,
        ("numpy._core.multiarray", "scalar"): _numpy_scalar,
    }
    for module in ("builtins", "__builtin__"):  # Python 3's and Python 2's name of the same module.
        builders[module, "set"] = lambda arguments: set(_only(arguments, list))
        builders[module, "frozenset"] = lambda arguments: frozenset(_only(arguments, list))
        builders[module, "complex"] = _complex
    table.update({key: Builder(key[1], function) for key, function in builders.items()})
    return table


_GLOBALS = _globals()
