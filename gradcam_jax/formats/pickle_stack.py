"""The part of a pickle that makes plain containers: a stack, marks, a memo, and the instructions for them.

Nothing here calls or imports anything. A wrong instruction raises ValueError; the interpreter adds the file and
the byte.
"""

from collections.abc import Callable
from typing import Any

from gradcam_jax.formats.mapped_file import shown

_PLAIN = (str, bytes, int, float, type(None))

# Keys of one hash make a dictionary quadratic; integers below this limit have distinct hashes.
_KEY_LIMIT = (1 << 61) - 1


def check_key(key: object) -> None:
    """Raises ValueError unless a dictionary or a set may hold the key.

    Keys are strings, numbers, None, or short tuples of these. No checkpoint has deeper tuples, and hashing a
    million nested ones overflows the C stack.
    """
    parts = key if isinstance(key, tuple) and len(key) <= 8 else (key,)
    if not all(isinstance(part, _PLAIN) for part in parts):
        raise ValueError(f"expected a string or a number as a key, got {shown(key)}")
    if any(isinstance(part, int) and abs(part) >= _KEY_LIMIT for part in parts):
        raise ValueError("expected a key of at most 61 bits, got a larger integer")


class PickleStack:
    """The values that a pickle has made and not used, with its marks and its memo."""

    def __init__(self):
        self._values: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}

    def push(self, value: Any) -> None:
        """Puts a value on the stack."""
        self._values.append(value)

    def pop(self) -> Any:
        """Removes and returns the last value, which must follow the last mark."""
        if not self._values or self._is_marked():
            raise ValueError("the pickle takes more values than it has made")
        return self._values.pop()

    def top(self, kind: type) -> Any:
        """Returns the last value, which must be of a kind and stays on the stack."""
        value = self.pop()
        self.push(value)
        if not isinstance(value, kind):
            raise ValueError(f"expected a {kind.__name__} to fill, got {shown(value)}")
        return value

    def mark(self) -> None:
        """Begins a sequence of values, which one instruction ends."""
        self._marks.append(len(self._values))

    def pop_to_mark(self) -> list[Any]:
        """Removes the last mark and the values after it, and returns these."""
        if not self._marks:
            raise ValueError("the pickle ends a list that it did not begin")
        mark = self._marks.pop()
        values = self._values[mark:]
        del self._values[mark:]
        return values

    def fill_set(self, keys: list[Any]) -> None:
        """Adds keys to the set on top."""
        self.top(set).update(keys)

    def pop_keys(self) -> list[Any]:
        """Removes and returns the values since the last mark, which must be possible members of a set."""
        keys = self.pop_to_mark()
        for key in keys:
            check_key(key)
        return keys

    def discard(self) -> None:
        """Drops the last value, or the last mark if no value follows it; one instruction does both."""
        if self._is_marked():
            self._marks.pop()
        else:
            self.pop()

    def store(self, index: int | None) -> None:
        """Stores the last value in the memo, under an index or the next one."""
        self._memo[len(self._memo) if index is None else index] = self.top(object)

    def recall(self, index: int) -> None:
        """Puts a value of the memo on the stack."""
        if index not in self._memo:
            raise ValueError(f"the pickle reuses value {index}, which it has not stored")
        self.push(self._memo[index])

    def fill_list(self, values: list[Any]) -> None:
        """Appends values to the list on top."""
        self.top(list).extend(values)

    def fill_dict(self, pairs: list[Any]) -> None:
        """Puts alternating keys and values into the dictionary on top."""
        target = self.top(dict)
        if len(pairs) % 2:
            raise ValueError("a dictionary got a key without a value")
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            check_key(key)
            target[key] = value

    def make_dict(self, pairs: list[Any]) -> None:
        """Puts a new dictionary on the stack."""
        self.push({})
        self.fill_dict(pairs)

    def drop_to_mark(self) -> None:
        """Drops the last mark and the values after it."""
        self.pop_to_mark()

    def pop_several(self, count: int) -> list[Any]:
        """Removes and returns the last values, the last one last."""
        return [self.pop() for _ in range(count)][::-1]

    def _is_marked(self) -> bool:
        return bool(self._marks) and self._marks[-1] == len(self._values)


STACK_INSTRUCTIONS: dict[str, Callable[[PickleStack, Any], None]] = {
    "NONE": lambda stack, _: stack.push(None),
    "NEWTRUE": lambda stack, _: stack.push(True),
    "NEWFALSE": lambda stack, _: stack.push(False),
    "EMPTY_LIST": lambda stack, _: stack.push([]),
    "EMPTY_DICT": lambda stack, _: stack.push({}),
    "EMPTY_SET": lambda stack, _: stack.push(set()),
    "EMPTY_TUPLE": lambda stack, _: stack.push(()),
    "TUPLE1": lambda stack, _: stack.push(tuple(stack.pop_several(1))),
    "TUPLE2": lambda stack, _: stack.push(tuple(stack.pop_several(2))),
    "TUPLE3": lambda stack, _: stack.push(tuple(stack.pop_several(3))),
    "TUPLE": lambda stack, _: stack.push(tuple(stack.pop_to_mark())),
    "LIST": lambda stack, _: stack.push(stack.pop_to_mark()),
    "DICT": lambda stack, _: stack.make_dict(stack.pop_to_mark()),
    "FROZENSET": lambda stack, _: stack.push(frozenset(stack.pop_keys())),
    "MARK": lambda stack, _: stack.mark(),
    "POP": lambda stack, _: stack.discard(),
    "POP_MARK": lambda stack, _: stack.drop_to_mark(),
    "APPEND": lambda stack, _: stack.fill_list(stack.pop_several(1)),
    "APPENDS": lambda stack, _: stack.fill_list(stack.pop_to_mark()),
    "ADDITEMS": lambda stack, _: stack.fill_set(stack.pop_keys()),
    "SETITEM": lambda stack, _: stack.fill_dict(stack.pop_several(2)),
    "SETITEMS": lambda stack, _: stack.fill_dict(stack.pop_to_mark()),
    "PUT": PickleStack.store,
    "BINPUT": PickleStack.store,
    "LONG_BINPUT": PickleStack.store,
    "MEMOIZE": PickleStack.store,
    "GET": PickleStack.recall,
    "BINGET": PickleStack.recall,
    "LONG_BINGET": PickleStack.recall,
    # PROTO announces the version, FRAME the length of the next part; neither changes the stack.
    "PROTO": lambda *_: None,
    "FRAME": lambda *_: None,
}
"""Instruction -> its effect, as a function of the stack and the instruction's argument."""

# Instructions whose argument is the value.
STACK_INSTRUCTIONS |= dict.fromkeys(
    (
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
        *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    ),
    PickleStack.push,
)
