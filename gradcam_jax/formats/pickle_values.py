"""What the pickle interpreter and the reader that uses it say to each other."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


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
