"""Reads the weights of a PyTorch checkpoint (``.pth``, ``.pt``), without PyTorch and without running the file.

``torch.save`` has written two layouts:

- since 1.6 a zip archive: ``<name>/data.pkl``, a pickle that describes the tensors, and ``<name>/data/<key>``,
  their bytes, stored uncompressed, so that each is a view on the mapped file;
- before, a *legacy* stream: five pickles (a magic number, 1001, the writer's system, the description, the
  list of storage keys) and then, per key, an int64 count and the bytes.

Both describe the tensors by a pickle, which is a program. :class:`RestrictedPickle` runs it and can build tensors
and plain containers only.
"""

import os
import struct
from typing import Any

import numpy as np

from gradcam_jax.errors import CheckpointError
from gradcam_jax.formats.mapped_file import MappedFile, shown
from gradcam_jax.formats.mistaken import TORCHSCRIPT, is_torchscript
from gradcam_jax.formats.restricted_pickle import MAX_STREAM_BYTES, RestrictedPickle
from gradcam_jax.formats.strided import strided_view, widen_bfloat16
from gradcam_jax.formats.torch_pickle import find_global, find_storage
from gradcam_jax.formats.torch_tensors import StorageReference, TensorDescription
from gradcam_jax.formats.zip_members import SIGNATURE, check_sum, zip_members

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001

STATE_DICT_ENTRIES = ("state_dict", "model_state_dict", "model", "net", "weights")
"""Keys under which programs store the weights in a file that holds more than the weights."""

Storages = dict[str, np.ndarray]
"""Storage key -> its bytes, ``(n,)`` uint8."""

_STORAGE_COUNT = struct.Struct("<q")


def read_pytorch(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Reads the state dict of a ``.pth`` file.

    The state dict is the mapping under one of ``STATE_DICT_ENTRIES``, or else the file's outermost mapping, or
    else the only mapping in it that holds tensors. Its numbers become 0-d arrays; values that are neither tensors
    nor numbers (strings, None) are left out.

    Args:
        path: A file written by ``torch.save`` (any version, zip or legacy).

    Returns:
        Name -> array, in the file's order, with the stored shape and dtype; bfloat16 is widened to float32,
        exactly. Arrays are read-only views on the mapped file; tensors that shared a storage share it here.

    Raises:
        CheckpointError: If the file is not such a file, is damaged, holds no state dict, or asks for anything but
            tensors and plain containers, which the message names; nothing that the file names is ever called.
    """
    file = MappedFile(path)
    if file.data[:4].tobytes() == SIGNATURE:
        contents, storages, byte_order = _read_zip(file)
    else:
        contents, storages, byte_order = _read_legacy(file)
    arrays = {}
    for name, value in _find_state_dict(file, contents).items():
        if not isinstance(name, str):
            continue
        if isinstance(value, TensorDescription):
            arrays[name] = _tensor(file, name, value, storages, byte_order)
        elif isinstance(value, bool | float | np.generic) or (isinstance(value, int) and abs(value) < 1 << 63):
            arrays[name] = np.asarray(value)
    return arrays


def _read_zip(file: MappedFile) -> tuple[Any, Storages, str]:
    members = zip_members(file)
    if is_torchscript(list(members)):
        raise CheckpointError(f"{file.path} {TORCHSCRIPT}.")
    descriptions = [name for name in members if name == "data.pkl" or name.endswith("/data.pkl")]
    if len(descriptions) != 1:
        raise file.error(0, f"expected a zip archive with one data.pkl, found {len(descriptions)}")
    prefix = descriptions[0].removesuffix("data.pkl")
    for member in members.values():
        if member.is_compressed:
            raise file.error(
                member.start,
                f"{shown(member.name)} is compressed, and torch.save never compresses: save it again",
            )
    member = members[descriptions[0]]
    if member.size > MAX_STREAM_BYTES:
        raise file.error(
            member.start, f"expected a data.pkl of at most {MAX_STREAM_BYTES} bytes, got {member.size}"
        )
    description = member.stored.tobytes()
    check_sum(file, member, description)
    pickle = RestrictedPickle(
        description,
        lambda offset, problem: file.error(member.start + offset, problem),
        find_global,
        find_storage,
    )
    contents = pickle.load()
    storages = {
        name.removeprefix(prefix + "data/"): storage.stored
        for name, storage in members.items()
        if name.startswith(prefix + "data/")
    }
    byte_order = "little"
    if prefix + "byteorder" in members:
        byte_order = members[prefix + "byteorder"].stored[:8].tobytes().decode("latin-1")
        if byte_order not in ("little", "big"):
            raise file.error(0, f"expected the byte order little or big, got {byte_order!r}")
    return contents, storages, byte_order


def _read_legacy(file: MappedFile) -> tuple[Any, Storages, str]:
    references: dict[str, StorageReference] = {}

    def remember_storage(identity: Any) -> StorageReference:
        reference = find_storage(identity)
        known = references.setdefault(reference.key, reference)
        if (known.total, known.item_bytes) != (reference.total, reference.item_bytes):
            raise ValueError(f"the storage {shown(reference.key)} is declared twice, with different sizes")
        return reference

    pickle = RestrictedPickle(file.data[:MAX_STREAM_BYTES].tobytes(), file.error, find_global, remember_storage)
    magic = pickle.load()
    if magic != LEGACY_MAGIC:
        raise file.error(
            0, "expected a file written by torch.save: neither its zip archive nor its old magic number"
        )
    protocol = pickle.load()
    if protocol != LEGACY_PROTOCOL:
        raise file.error(pickle.position, f"expected PyTorch's file version {LEGACY_PROTOCOL}, got another")
    pickle.load()  # The writer's system, which is not needed: this layout is always little-endian.
    contents = pickle.load()
    keys = pickle.load()
    if not isinstance(keys, list):
        raise file.error(pickle.position, f"expected the list of storage keys, got {shown(keys)}")
    return contents, _legacy_storages(file, pickle.position, keys, references), "little"


def _legacy_storages(
    file: MappedFile, position: int, keys: list, references: dict[str, StorageReference]
) -> Storages:
    storages: Storages = {}
    for key in keys:
        if not isinstance(key, str) or key not in references:
            raise file.error(position, f"the bytes of a storage follow that no tensor uses: {shown(key)}")
        reference = references[key]
        (count,) = file.unpack_at(position, _STORAGE_COUNT, f"the length of storage {shown(key)}")
        if count != reference.total:
            raise file.error(
                position, f"expected storage {shown(key)} to have {reference.total} elements, got {count}"
            )
        position += 8
        size = count * reference.item_bytes
        storages[key] = file.array_at(position, np.dtype(np.uint8), size, f"the elements of storage {shown(key)}")
        position += size
    return storages


def _find_state_dict(file: MappedFile, contents: Any) -> dict[Any, Any]:
    if not isinstance(contents, dict):
        raise CheckpointError(f"{file.path}: expected a mapping of names to tensors, got {shown(contents)}")
    inner = {name: value for name, value in contents.items() if isinstance(name, str) and _holds_tensors(value)}
    for name in STATE_DICT_ENTRIES:
        if name in inner:
            return inner[name]
    if _holds_tensors(contents):
        return contents
    if len(inner) == 1:
        return inner.popitem()[1]
    advice = "; save one of them in a file of its own, and convert that" if inner else ""
    raise CheckpointError(
        f"{file.path}: expected one mapping of names to tensors, found {len(inner)}: {list(inner)}{advice}"
    )


def _holds_tensors(value: Any) -> bool:
    return isinstance(value, dict) and any(
        isinstance(name, str) and isinstance(item, TensorDescription) for name, item in value.items()
    )


def _tensor(
    file: MappedFile, name: str, tensor: TensorDescription, storages: Storages, byte_order: str
) -> np.ndarray:
    reference, element = tensor.storage, tensor.element
    storage = storages.get(reference.key)
    if storage is None:
        raise CheckpointError(
            f"{file.path}: the bytes of {shown(name)} (storage {shown(reference.key)}) are missing"
        )
    first, size = reference.start * reference.item_bytes, reference.count * reference.item_bytes
    if first + size > storage.size:
        raise CheckpointError(
            f"{file.path}: {shown(name)} needs {first + size} bytes of storage {shown(reference.key)}, "
            f"which has {storage.size}"
        )
    dtype = element.dtype.newbyteorder(">") if byte_order == "big" else element.dtype
    whole = storage[first : first + size - size % dtype.itemsize].view(dtype)
    try:
        array = strided_view(whole, tensor.offset, tensor.sizes, tensor.strides)
    except ValueError as error:
        raise CheckpointError(f"{file.path}: {shown(name)}: {error}") from error
    if element.is_bfloat16:
        return widen_bfloat16(array)
    return array if byte_order == "little" else array.astype(element.dtype)
