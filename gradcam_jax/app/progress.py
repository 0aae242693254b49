"""A progress bar on the terminal for work that is counted in bytes."""

import contextlib
from collections.abc import Callable, Iterator

import tqdm


@contextlib.contextmanager
def byte_bar(
    description: str, total: int | None = None, *, hidden: bool = False
) -> Iterator[Callable[[int, int | None], None]]:
    """Shows a bar while the body runs, unless it is hidden or standard error is not a terminal.

    Yields:
        A function of (bytes done, bytes in all or None) that moves the bar.
    """
    with tqdm.tqdm(desc=description, total=total, unit="B", unit_scale=True, disable=hidden or None) as bar:

        def show(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show
