"""A progress bar on the terminal for work that is counted in bytes."""

import contextlib
from collections.abc import Callable, Iterator

import tqdm


@contextlib.contextmanager
def byte_bar(
    description: str, total: int | None = None, *, hidden: bool = False
) -> Iterator[Callable[[int, int | None], None]]:
    """Shows a bar while the body runs.

    Args:
        description: The text before the bar.
        total: Bytes in all, if known from the start.
        hidden: Whether to show nothing; where standard error is not a terminal, nothing is shown anyway.

    Yields:
        A function of (bytes done, bytes in all or None) that moves the bar.
    """
    with tqdm.tqdm(desc=description, total=total, unit="B", unit_scale=True, disable=hidden or None) as bar:

        def show(done: int, total: int | None) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show
