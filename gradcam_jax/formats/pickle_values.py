"""What the pickle interpreter and the reader that uses it say to each other."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_MAX_NAME_SHOWN = 80


@dataclass(frozen=True)
class Builder:
    """A function that a pickle may call, under the name by which it asks for it.

    `function` takes the tuple of arguments and raises ValueError when they are not what it expects.
    """

    name: str
    function: Callable[[tuple], Any]


@dataclass
class Described:
    """Base of values that a pickle may complete with a state after building them; others refuse one."""

    def set_state(self, state: Any) -> None:
        """Takes the state; raises ValueError when it is not what it expects."""
        raise ValueError(f"a {type(self).__name__} takes no state, got {type(state).__name__}")


def shown(value: object) -> str:
    """Describes a value from an untrusted file, safely and briefly: by its type, or its text if it is one."""
    if isinstance(value, str):
        return repr(value if len(value) <= _MAX_NAME_SHOWN else value[:_MAX_NAME_SHOWN] + "...")
    return f"a {type(value).__name__}"
