"""Turns the equations and cross-references of docstrings, which are reStructuredText, into HTML."""

import re
import textwrap
from typing import Any

import griffe
from latex2mathml.converter import convert

BLOCK = re.compile(r"^\.\. math::(.*(?:\n(?:[ \t]+\S.*|[ \t]*(?=\n[ \t]+\S)))*)", re.MULTILINE)
INLINE = re.compile(r":math:`([^`]+)`")
ROLE = re.compile(r":(?:func|class|mod|meth|data|attr):`~?([\w.]+)`")


class Equations(griffe.Extension):
    """Rewrites each docstring before it is read: equations become MathML, references the name alone."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Called for each module, class, function and attribute."""
        if obj.docstring is not None:
            obj.docstring.value = _rewritten(obj.docstring.value)


def _rewritten(text: str) -> str:
    text = BLOCK.sub(lambda match: f"<div>{convert(_one_line(match[1]), display='block')}</div>", text)
    text = INLINE.sub(lambda match: convert(_one_line(match[1])), text)
    return ROLE.sub(lambda match: f"`{match[1].removeprefix('gradcam_jax.')}`", text)


def _one_line(latex: str) -> str:
    return " ".join(textwrap.dedent(latex).split())
