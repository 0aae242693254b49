"""Lists the answers that a VQA model knows."""

import textwrap
from collections.abc import Callable

from gradcam_jax.app.options import Options, require_meaning
from gradcam_jax.zoo import load


def list_answers(options: Options, say: Callable[[str], None]) -> None:
    """Says which answers a model knows, in the order of their letters.

    Raises:
        InputError: If there is no such model, or a flag has no meaning for the task.
    """
    require_meaning("list_answers", ("vqa",), "", options)
    options.check()
    loaded = load(options.model, task=options.task)
    answers = sorted(loaded.labels.entries, key=str.casefold)
    say(f"{len(answers)} answers of {loaded.name}:")
    for line in textwrap.wrap(", ".join(answers), 100, break_long_words=False, break_on_hyphens=False):
        say(line)
