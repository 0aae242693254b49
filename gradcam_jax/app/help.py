"""What ``--help`` prints: flags in groups by purpose, a sentence each; ``--helpfull`` says everything."""

import textwrap
from collections.abc import Mapping, Sequence

from absl import flags

SHORT, FULL = ("help", "h", "helpshort", "?"), ("helpfull",)
"""What asks for the short help, and for the full."""

_INDENT = 28
_WIDTH = 110


def wanted_help(arguments: Sequence[str]) -> tuple[str, ...]:
    """Returns SHORT or FULL if one of these arguments asks for help, else nothing.

    Example:
        >>> wanted_help(["photo.jpg", "--help"]) == SHORT, wanted_help(["photo.jpg"])
        (True, ())
    """
    names = {argument.lstrip("-") for argument in arguments if argument.startswith("-")}
    return FULL if names & set(FULL) else SHORT if names & set(SHORT) else ()


def help_text(beginning: str, groups: Mapping[str, Sequence[str]], values: flags.FlagValues, *, full: bool) -> str:
    """Returns the help.

    Args:
        beginning: What the command does, with examples; the short help leaves out its last paragraph. Paragraphs
            are divided by empty lines.
        groups: Heading -> names of its flags; the short help only names those of the last group.
        values: Their definitions.
        full: Whether everything is said of each, or its first sentence.
    """
    paragraphs = beginning.strip().split("\n\n")
    blocks = paragraphs if full else paragraphs[:-1]
    for heading, names in groups.items():
        if not full and heading == list(groups)[-1]:
            text = ", ".join(f"--{name}" for name in names)
            lines = textwrap.wrap(text, _WIDTH, initial_indent="  ", subsequent_indent="  ")
        else:
            lines = [line for name in names for line in _lines(values[name], full=full)]
        blocks.append("\n".join([f"{heading}:", *lines]))
    blocks.append(
        "--help: a sentence each." if full else "--helpfull: all that is to be said of each, and defaults."
    )
    return "\n\n".join(blocks)


def _lines(flag: flags.Flag, *, full: bool) -> list[str]:
    text = " ".join((flag.help or "").split())
    if not full:
        text = text.split(". ")[0].removesuffix(".") + "."
    name = f"--[no]{flag.name}" if flag.boolean and flag.default else f"--{flag.name}"
    head = f"  {name:<{_INDENT - 3}} "
    return textwrap.wrap(text, _WIDTH, initial_indent=head, subsequent_indent=" " * _INDENT)
