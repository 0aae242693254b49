"""Files of pictures: those of one explained photo, under the original program's names, and those of a run."""

import functools
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import PIL.Image

from gradcam_jax.errors import InputError
from gradcam_jax.pictures.maps import gradient_picture, grey_map, heat_map
from gradcam_jax.pictures.photo import (
    LONGEST_QUESTION,
    View,
    draw_rows,
    for_panels,
    frames_of,
    own_heading,
    sheet_of,
)
from gradcam_jax.pictures.sheet import Sheet, drawn, picture_sheet, svg
from gradcam_jax.tasks.rows import Description

KINDS = ("overlays", "panels")
"""The pictures that a run can draw of each photo."""

_FORBIDDEN = re.compile(r'[\x00-\x1f<>:"/\\|?*#%]')
_LONGEST_NAME = 150  # bytes: with what stands before and after it less than the 255 of a file system
_COMPRESSION = 4  # of a PNG: 2 % larger than Pillow's 6, in less than half of the time
_DOTS = 144.0  # an inch, of a PDF
_MILLISECONDS = 900  # a frame of an animation


def save(picture: np.ndarray | Sheet, path: str | Path) -> Path:
    """Writes a picture, in the format that the name ends in, ``.pdf`` and ``.svg`` too, and makes its folder.

    Args:
        picture: uint8, RGB ``(H, W, 3)`` or grey ``(H, W)``; or a sheet, whose texts stay texts in an SVG.
        path: The file.

    Returns:
        The path.

    Raises:
        InputError: If the picture is not uint8.
    """
    path = Path(path)
    if not isinstance(picture, Sheet):
        picture = np.asarray(picture)
        if picture.dtype != np.uint8:
            raise InputError(f"Expected a uint8 picture for {str(path)!r}, got {picture.dtype} instead.")
        picture = picture_sheet(picture) if path.suffix.lower() == ".svg" else picture
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(picture, Sheet) and path.suffix.lower() == ".svg":
        path.write_text(svg(picture), encoding="utf-8")
        return path
    image = PIL.Image.fromarray(drawn(picture) if isinstance(picture, Sheet) else picture)
    if path.suffix.lower() == ".pdf":
        image.save(path, resolution=_DOTS)
    else:
        image.save(path, compress_level=_COMPRESSION)
    return path


def save_animation(frames: Sequence[np.ndarray], path: str | Path) -> Path:
    """Writes frames as an animation that repeats for ever, and returns its path.

    Args:
        frames: uint8 RGB of one shape, at least one.
        path: The file: a GIF, which has 256 colours, or a ``.webp`` or ``.png``, which have all.
    """
    if not frames:
        raise InputError("Expected at least one frame of an animation, got none.")
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures = [PIL.Image.fromarray(frame) for frame in frames]
    if path.suffix.lower() == ".gif":
        pictures = _with_one_palette(pictures)
    first, *others = pictures
    first.save(path, save_all=True, append_images=others, duration=_MILLISECONDS, loop=0)
    return path


def _with_one_palette(pictures: Sequence[PIL.Image.Image]) -> list[PIL.Image.Image]:
    """Gives a GIF's frames the 256 colours that suit them all, mixed by dithering: colours pass smoothly."""
    width, height = pictures[0].size
    sheet = PIL.Image.new("RGB", (width, height * len(pictures)))
    for place, picture in enumerate(pictures):
        sheet.paste(picture, (0, place * height))
    palette = sheet.quantize(256)
    return [picture.quantize(palette=palette, dither=PIL.Image.Dither.FLOYDSTEINBERG) for picture in pictures]


def save_photo_pictures(
    folder: Path, prefix: str, description: Description, view: View, *, in_color: bool = True
) -> list[Path]:
    """Writes the pictures of one photo, named as the original program names them.

    A row's are ``PREFIX_gcam_hm_NAME.png`` (``PREFIX_gcam_NAME.png`` in grey), ``PREFIX_gb_NAME.png`` and
    ``PREFIX_gb_gcam_NAME.png`` where they were computed, ``PREFIX_overlay_NAME.png`` and
    ``PREFIX_panel_NAME.png``. A map by another method is ``PREFIX_METHOD_hm_NAME.png`` and
    ``PREFIX_METHOD_overlay_NAME.png``. Several rows have ``PREFIX_panel.png``, a caption
    ``PREFIX_words_NAME.gif``.

    Args:
        folder: Where they go.
        prefix: ``"classify"``, ``"vqa"`` or ``"caption"``.
        description: What is said of the photo.
        view: The photo; its size is the network image's, as the original's maps are.
        in_color: Whether the map is drawn in colour.

    Returns:
        The files written.
    """
    files = []
    rows = draw_rows(description.rows, view)
    for one in rows:
        row, name = one.row, safe_name(one.row.file_name)
        own_panel = sheet_of(description, view, [one], heading=own_heading(description, row))
        colored = "_hm" if in_color else ""
        draw = functools.partial(heat_map, colors=view.style.colors) if in_color else grey_map
        pictures = {
            f"gcam{colored}": draw(one.heatmap),
            "gb": None if row.guided_backprop is None else gradient_picture(row.guided_backprop),
            "gb_gcam": None if row.guided_grad_cam is None else gradient_picture(row.guided_grad_cam),
            "overlay": one.overlay,
            "panel": own_panel,
        }
        for method, (heatmap, laid_on) in one.others.items():
            pictures |= {f"{method}{colored}": draw(heatmap), f"{method}_overlay": laid_on}
        files += [
            save(picture, folder / f"{prefix}_{kind}_{name}.{view.style.panels if kind == 'panel' else 'png'}")
            for kind, picture in pictures.items()
            if picture is not None
        ]
    if len(rows) > 1:
        files.append(save(sheet_of(description, view, rows), folder / f"{prefix}_panel.{view.style.panels}"))
    if description.words:
        name = safe_name(description.rows[0].file_name)
        files.append(save_animation(frames_of(description, view), folder / f"{prefix}_words_{name}.gif"))
    return files


def save_run_pictures(
    folder: Path,
    identifier: str,
    description: Description,
    view: View,
    *,
    kinds: Sequence[str] = KINDS,
    heading: str | None = None,
) -> list[Path]:
    """Writes the pictures of one photo of a run: ``overlays/ID_TARGET.png`` a row, ``panels/ID.png`` a photo.

    A panel's name ends in its format's. The overlay of another method's map is ``overlays/ID_TARGET_METHOD.png``.

    Args:
        folder: The run's folder.
        identifier: The photo's id, with ``/`` between folders.
        description: What is said of the photo; without rows nothing is written.
        view: The photo.
        kinds: Of :data:`KINDS`.
        heading: The line over a panel; the description's if left out.

    Returns:
        The files written.
    """
    files = []
    view = view if "overlays" in kinds else for_panels(view)
    rows = draw_rows(description.rows, view)
    names = [row.name for row in description.rows]
    paths = run_picture_paths(folder, identifier, names, kinds, panels=view.style.panels)
    for path, one in zip(paths.overlays, rows, strict=False):
        files.append(save(one.overlay, path))
        for method, (_, picture) in one.others.items():
            files.append(save(picture, path.with_name(f"{path.stem}_{method}.png")))
    if paths.panel is not None:
        heading = (description.heading if heading is None else heading)[:LONGEST_QUESTION]
        files.append(save(sheet_of(description, view, rows, heading=heading), paths.panel))
    return files


class RunPictures(NamedTuple):
    """The files of one photo of a run: an overlay a target, and a panel."""

    overlays: list[Path]
    panel: Path | None


def run_picture_paths(
    folder: Path, identifier: str, names: Sequence[str], kinds: Sequence[str] = KINDS, *, panels: str = "png"
) -> RunPictures:
    """Returns where :func:`save_run_pictures` writes.

    Args:
        folder: The run's folder.
        identifier: The photo's id.
        names: Its explained targets'.
        kinds: Of :data:`KINDS`.
        panels: The panels' format.
    """
    stem = picture_path(identifier)
    # Two classes may have one name, as the crane that flies and the one that lifts.
    ends = [f"{name}_{place}" if name in names[:place] else name for place, name in enumerate(names)]
    overlays = [
        folder / "overlays" / stem.parent / f"{safe_name(f'{stem.name}_{end}')}.png"
        for end in ends
        if "overlays" in kinds
    ]
    drawn_panel = "panels" in kinds and names
    panel = folder / "panels" / stem.parent / f"{stem.name}.{panels}" if drawn_panel else None
    return RunPictures(overlays, panel)


def picture_path(identifier: str) -> Path:
    """Returns where a photo's pictures go, below a folder of pictures: its id, made safe part by part.

    Where that changes it, the id's hash is added: two photos never have one name.

    Example:
        >>> picture_path("dogs/boxer.jpg").as_posix(), picture_path("../a/b:c.jpg").as_posix()
        ('dogs/boxer.jpg', '_/a/b_c.jpg-04ec6b70')
    """
    parts = [part for part in PurePosixPath(identifier).parts if part != "/"]
    safe = [safe_name(part) for part in parts] or ["_"]
    if "/".join(safe) != identifier:
        safe[-1] = f"{safe[-1]}-{_hash(identifier)}"
    return Path(*safe)


def safe_name(text: str) -> str:
    """Makes a text fit for a file name and a link: what these forbid becomes ``_``.

    A name of more than 150 bytes is cut, and the whole text's hash is added.

    Example:
        >>> safe_name("24/7?"), len(safe_name("a" * 500))
        ('24_7_', 150)
    """
    name = _FORBIDDEN.sub("_", text).strip().strip(".")
    if len(_bytes(name)) > _LONGEST_NAME:
        end = f"-{_hash(text)}"
        name = _bytes(name)[: _LONGEST_NAME - len(end)].decode("utf-8", "ignore").strip() + end
    return name or "_"


def _hash(text: str) -> str:
    return hashlib.blake2b(_bytes(text), digest_size=4).hexdigest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
