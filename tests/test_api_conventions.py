"""Every public name keeps the house's conventions: listed, documented, typed, options by keyword, whole words."""

import ast
import importlib
import inspect
import pydoc
import subprocess
import sys
from pathlib import Path

import pytest

import gradcam_jax

PACKAGE = Path(gradcam_jax.__file__).parent
STUB = ast.parse((PACKAGE / "__init__.pyi").read_text(encoding="utf-8"))
# Name -> the module that it is imported from, relative to the package; of a room, the package itself.
NAMES = {
    alias.name: node.module or "" for node in STUB.body if isinstance(node, ast.ImportFrom) for alias in node.names
}
ROOMS = [name for name, module in NAMES.items() if not module]
FUNCTIONS = {name: getattr(gradcam_jax, name) for name in NAMES if inspect.isfunction(getattr(gradcam_jax, name))}
MOST_POSITIONAL = 7


def test_the_public_names_are_explicit_re_exports():
    for node in STUB.body:
        if isinstance(node, ast.ImportFrom):
            assert node.level == 1
            assert all(alias.asname == alias.name for alias in node.names)
    assert set(gradcam_jax.__all__) == set(NAMES)
    assert set(NAMES) <= set(dir(gradcam_jax))
    assert len(FUNCTIONS) >= 24


@pytest.mark.parametrize("name", NAMES)
def test_every_name_is_what_the_stub_says(name):
    value = getattr(gradcam_jax, name)
    if name in ROOMS:
        assert value is importlib.import_module(f"gradcam_jax.{name}")
    else:
        assert value is getattr(importlib.import_module(f"gradcam_jax.{NAMES[name]}"), name)


@pytest.fixture(scope="module")
def help_text():
    return pydoc.render_doc(gradcam_jax, renderer=pydoc.plaintext)


@pytest.mark.parametrize("name", NAMES)
def test_help_shows_every_name(help_text, name):
    head = name if name in ROOMS else f"{name}(" if name in FUNCTIONS else f"class {name}("
    assert head in help_text


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ROOMS])
def test_documented(name):
    value = getattr(gradcam_jax, name)
    assert value.__doc__, f"{name} is not documented"
    if name in FUNCTIONS:
        first = inspect.getdoc(value).splitlines()[0]
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


def public_functions(tree):
    """Yields the public functions of a module, and the public methods of its public classes with their class."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from ((node.name, inner) for inner in node.body if is_public(inner))
        elif is_public(node):
            yield "", node


def is_public(node):
    if not isinstance(node, ast.FunctionDef) or any(ast.unparse(one) == "overload" for one in node.decorator_list):
        return False
    return not node.name.startswith("_") or node.name == "__init__"


def broken_conventions(tree):
    """Says which public functions of a module break a convention."""
    for owner, function in public_functions(tree):
        name = f"{owner}.{function.name}".removeprefix(".")
        positional = [*function.args.posonlyargs, *function.args.args]
        static = any(isinstance(one, ast.Name) and one.id == "staticmethod" for one in function.decorator_list)
        defaults = function.args.defaults
        for argument, default in zip(positional[len(positional) - len(defaults) :], defaults, strict=True):
            if isinstance(default, ast.Constant) and isinstance(default.value, bool):
                yield f"{name}({argument.arg}): a flag that can be positional"
        positional = positional[1:] if owner and not static else positional
        if len(positional) > MOST_POSITIONAL:
            yield f"{name}: {len(positional)} arguments that can be positional"
        others = [function.args.vararg, function.args.kwarg, *function.args.kwonlyargs]
        for argument in (*positional, *(other for other in others if other is not None)):
            if argument.annotation is None:
                yield f"{name}({argument.arg}): not typed"
        if function.returns is None and function.name != "__init__":
            yield f"{name}: its result is not typed"
        if ast.get_docstring(function) is None and function.name != "__init__":
            yield f"{name}: not documented"


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_public_functions_of_every_room(path):
    assert list(broken_conventions(ast.parse(path.read_text(encoding="utf-8")))) == []


def test_the_check_can_fail():
    wrong = "def explain(a: int, b, c: int, d: int, e: int, f: int, g: int, fast: bool = True):\n    pass\n"
    assert list(broken_conventions(ast.parse(wrong))) == [
        "explain(fast): a flag that can be positional",
        "explain: 8 arguments that can be positional",
        "explain(b): not typed",
        "explain: its result is not typed",
        "explain: not documented",
    ]


def run_alone(program):
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()


def test_the_package_alone_loads_no_jax():
    program = """
import sys
import gradcam_jax
dir(gradcam_jax), gradcam_jax.__version__
print("jax" in sys.modules, "flax" in sys.modules, "numpy" in sys.modules)
gradcam_jax.explain
print("jax" in sys.modules, gradcam_jax.__version__)
"""
    assert run_alone(program) == ["False", "False", "False", "True", gradcam_jax.__version__]


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="explane"):
        gradcam_jax.explane  # noqa: B018
