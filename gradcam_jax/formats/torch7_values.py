"""The values of a Torch7 file: Lua tables, objects of Torch classes, and functions, without their bytecode."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

MAX_PATH_KEYS = 64
"""Keys of the longest path to an array: weights have some ten, and longer chains take quadratic memory."""

MAX_NAME_CHARACTERS = 256
"""Characters of the longest key in a path."""


def _stand_in(key: Any) -> Any:
    """Returns what a Python dictionary holds for a key that it cannot hold, or not distinguish from another."""
    if isinstance(key, bool):  # In Python, but not in Lua, True and 1 are one key.
        return bool, key
    if isinstance(key, np.ndarray):
        return np.ndarray, id(key)
    return key


class Table(Mapping[Any, Any]):
    """A Lua table: a mapping that is compared and hashed by identity, so that it can be a key of another.

    Keys are strings, numbers (an int where integral), booleans, tables, objects or arrays; as in Lua, the last
    three are compared by identity.

    Example:
        >>> table = Table()
        >>> table[1], table[2], table[True] = "a", "b", "c"
        >>> table[1], table[True], len(table)
        ('a', 'c', 3)
    """

    __slots__ = ("_keys", "_values")

    def __init__(self):
        self._values: dict[Any, Any] = {}
        # Only the keys that have a stand-in, a tuple, which no Lua table has as a key.
        self._keys: dict[tuple[type, Any], Any] | None = None

    def __setitem__(self, key: Any, value: Any) -> None:
        stand_in = _stand_in(key)
        if stand_in is not key:
            self._keys = self._keys or {}
            self._keys[stand_in] = key
        self._values[stand_in] = value

    def __getitem__(self, key: Any) -> Any:
        return self._values[_stand_in(key)]

    def __iter__(self) -> Iterator[Any]:
        for key in self._values:
            yield self._keys[key] if self._keys and isinstance(key, tuple) else key

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        # Without the contents, which may include the table itself.
        return f"<Lua table of {len(self)} entries>"


class TorchObject:
    """An object of a Torch class that is neither a tensor nor a storage, compared by identity.

    Attributes:
        class_name: For example ``"nn.Linear"``.
        fields: The table of its fields, or another object where the class stores one.
    """

    __slots__ = ("class_name", "fields")

    def __init__(self, class_name: str, fields: Any = None):
        self.class_name = class_name
        self.fields = fields

    def __getitem__(self, name: str) -> Any:
        if not isinstance(self.fields, Table):
            raise KeyError(name)
        return self.fields[name]

    def get(self, name: str, default: Any = None) -> Any:
        """Returns the field ``name``, or ``default`` if there is none."""
        return self.fields.get(name, default) if isinstance(self.fields, Table) else default

    def __repr__(self) -> str:
        return f"<{self.class_name}>"


class LuaFunction:
    """A function without its bytecode, and with the values that it captured."""

    __slots__ = ("upvalues",)

    def __init__(self):
        self.upvalues: Any = None


def torch7_arrays(root: Any) -> dict[str, np.ndarray]:
    """Names the arrays that string and integer keys lead to from a file's root.

    An object with several paths is visited once, by the shortest, so that cycles end. Paths of more than
    ``MAX_PATH_KEYS`` keys, or with a key of more than ``MAX_NAME_CHARACTERS``, are not followed.

    Args:
        root: A file's object.

    Returns:
        Path -> array, for example ``"protos/cnn/modules/1/weight"``; ``""`` for a root that is an array itself.

    Example:
        >>> table = Table()
        >>> table["weight"] = np.zeros(2)
        >>> torch7_arrays(table)
        {'weight': array([0., 0.])}
    """
    arrays: dict[str, np.ndarray] = {}
    visited: set[int] = set()
    level = [("", root)]
    for _ in range(MAX_PATH_KEYS + 1):
        following = []
        for path, value in level:
            if isinstance(value, np.ndarray):
                arrays[path] = value
                continue
            fields = value.fields if isinstance(value, TorchObject) else value
            if not isinstance(fields, Table) or id(fields) in visited:
                continue
            visited.add(id(fields))
            for key, child in fields.items():
                if _is_name(key) and isinstance(child, np.ndarray | Table | TorchObject):
                    following.append((f"{path}/{key}" if path else str(key), child))
        level = following
    return arrays


def _is_name(key: Any) -> bool:
    if isinstance(key, str):
        return len(key) <= MAX_NAME_CHARACTERS
    return isinstance(key, int) and not isinstance(key, bool)
