"""Imports point one way: what lies further in never knows of what lies further out."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "gradcam_jax"

# Rooms from the ground up: each may import those before it, and no other.
ROOMS = (
    *("errors", "formats", "attribution", "interception", "engine", "models", "images", "text", "conversion"),
    *("downloads", "zoo", "tasks", "pictures", "pipeline", "report", "page", "evaluation", "app", "experiments"),
)
# The last, experiments, is imported by scripts alone.
ALLOWED = {room: set(ROOMS[:place]) for place, room in enumerate(ROOMS)}
ALLOWED["__init__"] = set(ROOMS)
# Room -> the only other libraries it may import.
LIBRARIES = {
    "attribution": {"jax", "numpy"},
    "images": {"numpy", "PIL", "tensorflow_datasets", "simplejpeg", "cykooz_resizer"},
    "formats": {"numpy", "safetensors", "upath"},
    "page": {"jax", "numpy", "PIL"},
    "errors": set(),
    "__init__": {"lazy_loader"},
}
STANDARD = set(__import__("sys").stdlib_module_names)


def imported_modules(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            yield from (
                f"{node.module}.{alias.name}" if node.module == "gradcam_jax" else node.module
                for alias in node.names
            )


def room_of(path):
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path):
    room = room_of(path)
    assert room in ALLOWED, f"a new room: say in {Path(__file__).name} what {room} may import"
    for module in imported_modules(path):
        library, *inside = module.split(".")
        if library != "gradcam_jax":
            allowed = LIBRARIES.get(room)
            assert library in STANDARD or allowed is None or library in allowed, f"{room} imports {library}"
            continue
        if inside == ["__version__"]:
            continue
        assert inside, f"{room} imports the whole package"
        assert inside[0] in ALLOWED[room] | {room, "errors"}, f"{room} imports {module}"


def test_the_check_can_fail(tmp_path, monkeypatch):
    wrong = tmp_path / "attribution" / "wrong.py"
    wrong.parent.mkdir()
    wrong.write_text("from gradcam_jax.models.vgg import vgg16\n")
    monkeypatch.setattr("tests.test_imports.PACKAGE", tmp_path)
    with pytest.raises(AssertionError, match=r"attribution imports gradcam_jax\.models"):
        test_imports_point_one_way(wrong)
