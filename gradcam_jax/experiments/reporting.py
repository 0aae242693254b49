"""How long work tells what it does: lines for the reader, and how far it is."""

from collections.abc import Callable

import tqdm

Say = Callable[[str], None]
"""Takes a line of the report."""

Progress = Callable[[str, int, int], None]
"""Called while something long is done: its name, how much is done, and of how much."""


def silent(*_: object) -> None:
    """Tells nothing."""


def shown_on(bar: tqdm.tqdm) -> Progress:
    """Returns a progress report that moves a bar, which starts anew when something else begins."""

    def show(name: str, done: int, total: int) -> None:
        bar.set_description(name, refresh=False)
        if bar.total != total or done < bar.n:
            bar.reset(total)
        bar.update(done - bar.n)

    return show
