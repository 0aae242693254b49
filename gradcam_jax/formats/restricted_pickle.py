"""A pickle interpreter that can make plain containers and call named builders, and nothing else.

A pickle is a program for a small stack machine. The standard ``Unpickler`` can restrict the names that a pickle
looks up, but not its other instructions: a memo index of 2**31 allocates gigabytes, and hashing a dictionary key
of a million nested tuples overflows the C stack. This machine has only the instructions that checkpoints use,
each checked before it is executed, and can call only the :class:`Builder` objects of its reader.

References:
    The standard library's ``pickletools`` documents the instructions; its argument decoders are used here.
"""

import io
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gradcam_jax.errors import CheckpointError
from gradcam_jax.formats.mapped_file import shown
from gradcam_jax.formats.pickle_stack import STACK_INSTRUCTIONS, PickleStack, check_key

MAX_STREAM_BYTES = 16 << 20
"""Bytes of a pickle that are read: some 80,000 tensors of 200 bytes. It bounds what a hostile stream can build."""

_OPCODES = {opcode.code: opcode for opcode in pickletools.opcodes}

_SIZED = (str, bytes, list, tuple, dict, set, frozenset)


@dataclass(frozen=True)
class Builder:
    """A function that a pickle may call.

    Attributes:
        name: Its name in error messages.
        function: Takes the tuple of arguments; raises ValueError if they are wrong.
    """

    name: str
    function: Callable[[tuple], Any]


@dataclass
class Described:
    """Base of values that take a state from the pickle after they are built."""

    def set_state(self, state: Any) -> None:
        """Sets the state; raises ValueError if it is wrong."""
        raise ValueError(f"a {type(self).__name__} takes no state, got {shown(state)}")


class RestrictedPickle:
    """Runs the pickles of a stream, one after the other.

    Args:
        stream: The bytes, of which the first ``MAX_STREAM_BYTES`` are read.
        error: Makes the CheckpointError for a position in the stream and a problem.
        find_global: Maps (module, name) to a Builder or a constant; raises LookupError to refuse.
        find_persistent: Maps a persistent id to its value; raises ValueError to refuse.
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
        self._stack = PickleStack()
        self._copied = 0

    @property
    def position(self) -> int:
        """Where the next pickle starts, in bytes from the start of the stream."""
        return self._stream.tell()

    def load(self) -> Any:
        """Runs one pickle up to its STOP and returns its value.

        Raises:
            CheckpointError: If the stream is damaged, or asks for anything that is not allowed, which is named.
        """
        self._stack = PickleStack()
        while True:
            start = self._stream.tell()
            try:
                opcode = self._next_opcode()
                if opcode.name == "STOP":
                    return self._stack.pop()
                self._execute(opcode)
            except ValueError as error:
                raise self._error(start, str(error)) from error

    def _next_opcode(self) -> pickletools.OpcodeInfo:
        code = self._stream.read(1)
        if not code:
            raise ValueError("expected the pickle to go on, but it ends without STOP")
        opcode = _OPCODES.get(code.decode("latin-1"))
        if opcode is None:
            raise ValueError(f"expected a pickle instruction, got the byte {code[0]:#04x}")
        return opcode

    def _execute(self, opcode: pickletools.OpcodeInfo) -> None:
        name = opcode.name
        if name == "GLOBAL":
            self._push_global(*self._two_lines())
        elif name == "STACK_GLOBAL":
            self._push_global(*self._stack.pop_several(2))
        elif name == "REDUCE":
            self._call(*self._stack.pop_several(2))
        elif name == "BUILD":
            self._set_state(self._stack.pop())
        elif name == "BINPERSID":
            self._stack.push(self._find_persistent(self._stack.pop()))
        elif name in STACK_INSTRUCTIONS:
            STACK_INSTRUCTIONS[name](self._stack, self._argument(opcode))
        else:
            raise ValueError(f"the pickle instruction {name} is not needed by any checkpoint, and is refused")

    def _argument(self, opcode: pickletools.OpcodeInfo) -> Any:
        if opcode.arg is None:
            return None
        try:
            return opcode.arg.reader(self._stream)
        except ValueError as error:
            raise ValueError(f"the argument of {opcode.name} is damaged or cut off: {error}") from error

    def _two_lines(self) -> tuple[str, str]:
        # The standard decoder of GLOBAL takes backslashes for escapes, and warns about those that are none.
        module, name = self._stream.readline(), self._stream.readline()
        if not name.endswith(b"\n"):
            raise ValueError("the argument of GLOBAL is cut off")
        return module[:-1].decode("utf-8"), name[:-1].decode("utf-8")

    def _push_global(self, module: object, name: object) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise ValueError("the pickle asks for a global whose name is not a string")
        try:
            self._stack.push(self._find_global(module, name))
        except LookupError as error:
            raise ValueError(
                f"the file asks for {shown(f'{module}.{name}')}, and only tensors and plain containers are "
                "allowed: nothing was run. If the file holds a whole model, save its state_dict() instead"
            ) from error

    def _call(self, builder: object, arguments: object) -> None:
        if not isinstance(builder, Builder):
            raise ValueError(f"the pickle calls {shown(builder)}, which is not one of the allowed builders")
        if not isinstance(arguments, tuple):
            raise ValueError(f"{builder.name} is called with {shown(arguments)}, expected a tuple of arguments")
        # A builder may copy its arguments. Sound streams have bytes for each argument; a stream that copies one
        # long list many times does not.
        self._copied += sum(len(value) for value in arguments if isinstance(value, _SIZED))
        if self._copied > 4096 + 4 * self._stream.tell():
            raise ValueError(f"the pickle asks {builder.name} for more data than it holds")
        if builder.name in ("set", "frozenset"):
            for key in (key for value in arguments if isinstance(value, list) for key in value):
                check_key(key)
        try:
            self._stack.push(builder.function(arguments))
        except ValueError as error:
            raise ValueError(f"{builder.name} cannot be built: {error}") from error

    def _set_state(self, state: object) -> None:
        target = self._stack.top(object)
        if isinstance(target, dict):
            return  # An OrderedDict's attributes: PyTorch keeps the modules' version numbers there.
        if not isinstance(target, Described):
            raise ValueError(f"the pickle gives a state to {shown(target)}, which takes none")
        target.set_state(state)
