"""Every public name keeps the house's conventions: documented, typed, options by keyword, whole words."""

import inspect
import re

import pytest

import gradcam_jax

PUBLIC = {name: value for name, value in vars(gradcam_jax).items() if not name.startswith("_")}
FUNCTIONS = {
    name: value
    for name, value in PUBLIC.items()
    if inspect.isfunction(value) and value.__module__.startswith("gradcam_jax")
}


def test_the_public_names_are_explicit_re_exports():
    source = inspect.getsource(gradcam_jax)
    explicit = set(re.findall(r"import (\w+) as \1\b", source))
    rooms = {name for name, value in PUBLIC.items() if inspect.ismodule(value)}
    assert set(PUBLIC) - rooms == explicit - {"__version__"}
    assert len(FUNCTIONS) > 25


@pytest.mark.parametrize("name", FUNCTIONS)
def test_documented_in_the_indicative(name):
    text = inspect.getdoc(FUNCTIONS[name]) or ""
    first = text.splitlines()[0] if text else ""
    assert first, f"{name} is not documented"
    assert first.split()[0].endswith("s"), f"{name}: {first!r} does not start with a verb in the indicative"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_fully_typed(name):
    signature = inspect.signature(FUNCTIONS[name])
    untyped = [p.name for p in signature.parameters.values() if p.annotation is inspect.Parameter.empty]
    assert not untyped
    assert signature.return_annotation is not inspect.Signature.empty


@pytest.mark.parametrize("name", FUNCTIONS)
def test_options_are_keyword_only_and_flags_are_never_positional(name):
    for parameter in inspect.signature(FUNCTIONS[name]).parameters.values():
        if isinstance(parameter.default, bool):
            assert parameter.kind is inspect.Parameter.KEYWORD_ONLY, f"{name}({parameter.name})"
        assert parameter.name not in ("rng", "seed", "prng"), "the PRNG argument is called key"
        assert len(parameter.name) > 1 or parameter.name == "x", f"{name}({parameter.name}) is not a word"


@pytest.mark.parametrize("name", [n for n, f in FUNCTIONS.items() if len(inspect.signature(f).parameters) > 1])
def test_functions_of_several_arguments_document_them(name):
    text = inspect.getdoc(FUNCTIONS[name]) or ""
    documented = "Args:" in text or ">>>" in text
    assert documented, f"{name} has neither an Args section nor an example"
