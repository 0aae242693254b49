"""A pickle interpreter that can make plain containers and call named builders, and nothing else.

A pickle is a program for a small stack machine. The standard `Unpickler` can be told which names to look
up, yet a hostile stream still reaches the rest of it: a memo index of 2**31 allocates gigabytes, and a
dictionary key made of a million nested tuples overflows the C stack while it is hashed. This machine has
only the instructions that checkpoints use, each checked before it acts; the only things it can call are
`Builder`s that the reader itself supplies.

References:
  The instructions are documented in the standard library's `pickletools`, whose argument decoders are used
  here.
"""

import io
import pickletools
from collections.abc import Callable
from typing import Any

from gradcam_jax.errors import CheckpointError
from gradcam_jax.formats.mapped_file import shown
from gradcam_jax.formats.pickle_values import Builder, Described

# 200 bytes of pickle describe a tensor, so this is some 80,000 tensors; it bounds what a hostile stream can
# build.
MAX_STREAM_BYTES = 16 << 20


class RestrictedPickle:
    """Runs pickles that lie one after the other in a stream.

    Args:
      stream: the bytes; only the first MAX_STREAM_BYTES are ever read.
      error: makes the CheckpointError for a position in the stream and a problem.
      find_global: maps (module, name) to a Builder or a constant; raises LookupError to refuse.
      find_persistent: maps a persistent id to its value; raises ValueError to refuse.
    """

    def __init__(
        self,
        stream: bytes,
        error: Callable[[int, str], CheckpointError],
        find_global: Callable[[str, str], Any],
        find_persistent: Callable[[Any], Any],
    ):
        self._stream = io.BytesIO(stream[:MAX_STREAM_BYTES])
        self._error = error
        self._find_global = find_global
        self._find_persistent = find_persistent
        self._copied = 0
        self._reset()

    def _reset(self) -> None:
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        self._at = self._stream.tell()

    @property
    def position(self) -> int:
        """Where the next pickle starts, in bytes from the start of the stream."""
        return self._stream.tell()

    def load(self) -> Any:
        """Runs one pickle up to its STOP and returns what it made.

        Raises:
          CheckpointError: when the stream is damaged, or asks for anything that is not allowed (it is named).
        """
        self._reset()
        while True:
            self._at = self._stream.tell()
            code = self._stream.read(1)
            if not code:
                raise self._fail("expected the pickle to go on, but it ends without STOP")
            opcode = _INSTRUCTIONS.get(code.decode("latin-1"))
            if opcode is None:
                raise self._fail(f"expected a pickle instruction, got the byte {code[0]:#04x}")
            if opcode.name == "STOP":
                return self._pop()
            self._execute(opcode)

    def _execute(self, opcode: pickletools.OpcodeInfo) -> None:
        handler = _HANDLERS.get(opcode.name)
        if handler is None and opcode.name not in _PUSHES and opcode.name not in _IGNORED:
            raise self._fail(
                f"the pickle instruction {opcode.name} is not needed by any checkpoint, and is refused"
            )
        argument = None
        if opcode.arg is not None:
            try:
                reader = _read_global if opcode.name == "GLOBAL" else opcode.arg.reader
                argument = reader(self._stream)
            except ValueError as error:
                raise self._fail(f"the argument of {opcode.name} is damaged or cut off: {error}") from error
        if handler is not None:
            handler(self, argument)
        elif opcode.name in _PUSHES:
            self._stack.append(argument)

    def _fail(self, problem: str) -> CheckpointError:
        return self._error(self._at, problem)

    def _pop(self) -> Any:
        if not self._stack or (self._marks and self._marks[-1] == len(self._stack)):
            raise self._fail("the pickle takes more values than it has made")
        return self._stack.pop()

    def _pop_to_mark(self) -> list[Any]:
        if not self._marks:
            raise self._fail("the pickle ends a list that it did not begin")
        mark = self._marks.pop()
        values = self._stack[mark:]
        del self._stack[mark:]
        return values

    def _top(self, kind: type) -> Any:
        value = self._pop()
        self._stack.append(value)
        if not isinstance(value, kind):
            raise self._fail(f"expected a {kind.__name__} to fill, got {shown(value)}")
        return value

    def _check_key(self, key: object) -> None:
        # Nested tuples are never keys of a checkpoint, and hashing them can take forever or overflow the
        # stack.
        if isinstance(key, tuple) and len(key) <= 8:
            plain = all(isinstance(part, _PLAIN) for part in key)
        else:
            plain = isinstance(key, _PLAIN)
        if not plain:
            raise self._fail(f"expected a string or a number as a key, got {shown(key)}")
        # Equal hashes would make a dictionary quadratic; integers below 2**61 - 1 have distinct ones.
        if isinstance(key, int) and abs(key) >= (1 << 61) - 1:
            raise self._fail("expected a key of at most 61 bits, got a larger integer")

    def _insert(self, target: dict, pairs: list[Any]) -> None:
        if len(pairs) % 2:
            raise self._fail("a dictionary got a key without a value")
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            self._check_key(key)
            target[key] = value

    def _call(self, _: object) -> None:
        arguments, builder = self._pop(), self._pop()
        if not isinstance(builder, Builder):
            raise self._fail(f"the pickle calls {shown(builder)}, which is not one of the allowed builders")
        if not isinstance(arguments, tuple):
            raise self._fail(f"{builder.name} is called with {shown(arguments)}, expected a tuple of arguments")
        # A builder may copy what it is given. An honest stream spends bytes on every argument; one that
        # copies the same long list again and again does not.
        self._copied += sum(len(value) for value in arguments if isinstance(value, _SIZED))
        if self._copied > 4096 + 4 * self._at:
            raise self._fail(f"the pickle asks {builder.name} for more data than it holds")
        for value in arguments:
            if builder.name in _HASHING and isinstance(value, list):
                for key in value:
                    self._check_key(key)
        try:
            self._stack.append(builder.function(arguments))
        except ValueError as error:
            raise self._fail(f"{builder.name} cannot be built: {error}") from error

    def _set_state(self, _: object) -> None:
        state, target = self._pop(), self._top(object)
        if isinstance(target, dict):
            return  # An OrderedDict's attributes: PyTorch keeps the modules' version numbers there.
        if not isinstance(target, Described):
            raise self._fail(f"the pickle gives a state to {shown(target)}, which takes none")
        try:
            target.set_state(state)
        except ValueError as error:
            raise self._fail(str(error)) from error

    def _push_global(self, module: object, name: object) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise self._fail("the pickle asks for a global whose name is not a string")
        try:
            self._stack.append(self._find_global(module, name))
        except LookupError as error:
            raise self._fail(
                f"the file asks for {shown(f'{module}.{name}')}, and only tensors and plain containers are "
                "allowed: nothing was run. If the file holds a whole model, save its state_dict() instead"
            ) from error

    def _global(self, argument: Any) -> None:
        self._push_global(*argument)

    def _stack_global(self, _: object) -> None:
        name, module = self._pop(), self._pop()
        self._push_global(module, name)

    def _persistent(self, _: object) -> None:
        try:
            self._stack.append(self._find_persistent(self._pop()))
        except ValueError as error:
            raise self._fail(str(error)) from error

    def _get(self, index: Any) -> None:
        if index not in self._memo:
            raise self._fail(f"the pickle reuses value {index}, which it has not stored")
        self._stack.append(self._memo[index])

    def _put(self, index: Any) -> None:
        self._memo[index] = self._top(object)

    def _pop_mark(self, _: object) -> None:
        self._pop_to_mark()

    def _discard(self, _: object) -> None:
        # POP is also how pickles drop a mark that nothing followed.
        if self._marks and self._marks[-1] == len(self._stack):
            self._marks.pop()
        else:
            self._pop()

    def _append(self, _: object) -> None:
        value = self._pop()
        self._top(list).append(value)

    def _appends(self, _: object) -> None:
        values = self._pop_to_mark()
        self._top(list).extend(values)

    def _add_items(self, _: object) -> None:
        values = self._pop_to_mark()
        for value in values:
            self._check_key(value)
        self._top(set).update(values)

    def _frozenset(self, _: object) -> None:
        values = self._pop_to_mark()
        for value in values:
            self._check_key(value)
        self._stack.append(frozenset(values))

    def _set_item(self, _: object) -> None:
        value, key = self._pop(), self._pop()
        self._insert(self._top(dict), [key, value])

    def _set_items(self, _: object) -> None:
        pairs = self._pop_to_mark()
        self._insert(self._top(dict), pairs)

    def _dict(self, _: object) -> None:
        pairs = self._pop_to_mark()
        made: dict = {}
        self._insert(made, pairs)
        self._stack.append(made)

    def _tuple_of(self, count: int) -> None:
        values = [self._pop() for _ in range(count)]
        self._stack.append(tuple(reversed(values)))


def _read_global(stream: io.BytesIO) -> tuple[str, str]:
    # The standard decoder takes backslashes for escapes, and warns about those that are none.
    module, name = stream.readline(), stream.readline()
    if not name.endswith(b"\n"):
        raise ValueError("expected two lines, the module and the name")
    return module[:-1].decode("utf-8"), name[:-1].decode("utf-8")


_INSTRUCTIONS = {opcode.code: opcode for opcode in pickletools.opcodes}

_PLAIN = (str, bytes, int, float, type(None))
_SIZED = (str, bytes, list, tuple, dict, set, frozenset)
_HASHING = ("set", "frozenset")

# PROTO announces the version, FRAME the length of the next part: nothing to do for either.
_IGNORED = frozenset(("PROTO", "FRAME"))

# Instructions whose decoded argument is the value.
_PUSHES = frozenset(
    (
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
        *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    )
)

_HANDLERS: dict[str, Callable[[RestrictedPickle, Any], None]] = {
    "NONE": lambda machine, _: machine._stack.append(None),
    "NEWTRUE": lambda machine, _: machine._stack.append(True),
    "NEWFALSE": lambda machine, _: machine._stack.append(False),
    "EMPTY_LIST": lambda machine, _: machine._stack.append([]),
    "EMPTY_DICT": lambda machine, _: machine._stack.append({}),
    "EMPTY_SET": lambda machine, _: machine._stack.append(set()),
    "EMPTY_TUPLE": lambda machine, _: machine._stack.append(()),
    "TUPLE1": lambda machine, _: machine._tuple_of(1),
    "TUPLE2": lambda machine, _: machine._tuple_of(2),
    "TUPLE3": lambda machine, _: machine._tuple_of(3),
    "TUPLE": lambda machine, _: machine._stack.append(tuple(machine._pop_to_mark())),
    "LIST": lambda machine, _: machine._stack.append(machine._pop_to_mark()),
    "DICT": RestrictedPickle._dict,
    "FROZENSET": RestrictedPickle._frozenset,
    "MARK": lambda machine, _: machine._marks.append(len(machine._stack)),
    "POP": RestrictedPickle._discard,
    "POP_MARK": RestrictedPickle._pop_mark,
    "APPEND": RestrictedPickle._append,
    "APPENDS": RestrictedPickle._appends,
    "ADDITEMS": RestrictedPickle._add_items,
    "SETITEM": RestrictedPickle._set_item,
    "SETITEMS": RestrictedPickle._set_items,
    "PUT": RestrictedPickle._put,
    "BINPUT": RestrictedPickle._put,
    "LONG_BINPUT": RestrictedPickle._put,
    "MEMOIZE": lambda machine, _: machine._put(len(machine._memo)),
    "GET": RestrictedPickle._get,
    "BINGET": RestrictedPickle._get,
    "LONG_BINGET": RestrictedPickle._get,
    "GLOBAL": RestrictedPickle._global,
    "STACK_GLOBAL": RestrictedPickle._stack_global,
    "REDUCE": RestrictedPickle._call,
    "BUILD": RestrictedPickle._set_state,
    "BINPERSID": RestrictedPickle._persistent,
}
