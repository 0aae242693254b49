"""Line charts: a few curves over the same range, labelled."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import PIL.Image
import PIL.ImageDraw

from gradcam_jax.pictures.colors import WHITE, Color
from gradcam_jax.pictures.sheet import drawn, text_line

COLORS = (
    (31, 119, 180),
    (214, 39, 40),
    (44, 160, 44),
    (148, 103, 189),
    (255, 127, 14),
    (23, 190, 207),
    (227, 119, 194),
    (140, 86, 75),
    (188, 189, 34),
    (127, 127, 127),
)
"""Of the lines, in order; then they repeat, dashed."""

_LEFT, _TOP, _BOTTOM = 56, 44, 52
_LEGEND_ROW = 22


def line_chart(
    lines: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    *,
    title: str,
    x_label: str = "",
    size: tuple[int, int] = (420, 300),
) -> np.ndarray:
    """Draws lines over one range of x, with a legend beside them.

    Args:
        lines: Name -> x and y.
        title: Over the chart.
        x_label: Under the axis.
        size: ``(width, height)`` of the plotted area, in pixels.

    Returns:
        uint8 RGB.
    """
    width, height = size
    xs, ys = (np.concatenate([np.asarray(line[axis], float) for line in lines.values()]) for axis in (0, 1))
    low, high = min(0.0, float(ys.min())), max(float(ys.max()), 1e-9)
    first, last = float(xs.min()), float(xs.max())
    labels = [_line(name, 14, WHITE.ink) for name in lines]
    high_enough = max(height, _LEGEND_ROW * len(labels))
    sheet_size = (_LEFT + width + 60 + max(label.width for label in labels), _TOP + high_enough + _BOTTOM)
    sheet = PIL.Image.new("RGB", sheet_size, WHITE.ground)
    draw = PIL.ImageDraw.Draw(sheet)

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - first) / max(last - first, 1e-12)
        return _LEFT + across * width, _TOP + height - (y - low) / (high - low) * height

    sheet.paste(_line(title, 18, WHITE.ink), (_LEFT, 10))
    for tick in np.linspace(low, high, 5):
        _, y = place(first, tick)
        draw.line([(_LEFT, y), (_LEFT + width, y)], fill=(228, 228, 231))
        label = _line(f"{tick:.3g}", 12, WHITE.faint)
        sheet.paste(label, (_LEFT - label.width - 6, round(y) - label.height // 2))
    for tick in np.linspace(first, last, 5):
        x, _ = place(tick, low)
        label = _line(f"{tick:g}", 12, WHITE.faint)
        sheet.paste(label, (round(x) - label.width // 2, _TOP + height + 4))
    sheet.paste(_line(x_label, 13, WHITE.faint), (_LEFT, _TOP + height + 26))
    for number, (label, (x, y)) in enumerate(zip(labels, lines.values(), strict=True)):
        color = COLORS[number % len(COLORS)]
        points = [place(*point) for point in zip(x, y, strict=True)]
        for piece, ends in enumerate(itertools.pairwise(points)):
            if number < len(COLORS) or piece % 2 == 0:
                draw.line(ends, fill=color, width=2)
        row = _TOP + _LEGEND_ROW * number
        draw.line([(_LEFT + width + 16, row + 9), (_LEFT + width + 40, row + 9)], fill=color, width=3)
        sheet.paste(label, (_LEFT + width + 48, row))
    return np.asarray(sheet)


def _line(text: str, size: int, color: Color) -> PIL.Image.Image:
    return PIL.Image.fromarray(drawn(text_line(text, size, color)))
