"""What the site has beyond the files in docs/: the list of public names, and the cards of the bundled models."""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[2]
ROOMS = "tasks", "zoo", "images", "pictures", "pipeline"
IMPORT = re.compile(r"^from (?:gradcam_jax)?\.?(\w[\w.]*) import (\w+) as \2$", re.MULTILINE)


def on_files(files: Any, config: Any) -> Any:
    """Adds the cards, which lie beside the checkpoints."""
    for card in sorted((ROOT / "checkpoints").glob("*.[mj][ds]*")):
        files.append(File.generated(config, f"checkpoints/{card.name}", abs_src_path=str(card)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Fills the page of the API; lets links to the cards lead into the site."""
    if page.file.src_uri == "reference.md":
        return markdown + "\n\n" + "\n\n".join(_sections())
    return markdown.replace("](../checkpoints/", "](checkpoints/")


def _sections() -> list[str]:
    """Returns the root's public names by group, then those of its rooms, as mkdocstrings takes them."""
    sections = []
    for group in (ROOT / "gradcam_jax" / "__init__.pyi").read_text(encoding="utf-8").split("\n\n"):
        title, *rest = group.splitlines()
        sections += _section(title.removeprefix("# ").rstrip("."), "\n".join(rest))
    for room in ROOMS:
        imports = (ROOT / "gradcam_jax" / room / "__init__.py").read_text(encoding="utf-8")
        sections += _section(f"gradcam_jax.{room}", imports)
    return sections


def _section(title: str, imports: str) -> list[str]:
    names = [f"::: gradcam_jax.{module}.{name}" for module, name in IMPORT.findall(imports)]
    return [f"## {title}", *names] if names else []
