"""What an evaluator yields, a name and a value at a time: gathered into a record, and shown as lines."""

import functools
from collections.abc import Iterable, Mapping
from typing import Any

Finding = tuple[str, Any]
"""A name, its levels joined by ``/``, and a plain JSON value."""


def gathered(findings: Iterable[Finding]) -> dict[str, Any]:
    """Returns the findings as one record, a level of it for each level of their names.

    Example:
        >>> gathered([("photos", 4), ("scores/all", 0.5), ("scores/made", {"yes/no": 1.0})])
        {'photos': 4, 'scores': {'all': 0.5, 'made': {'yes/no': 1.0}}}
    """
    record: dict[str, Any] = {}
    for name, value in findings:
        *levels, last = name.split("/")
        functools.reduce(lambda level, key: level.setdefault(key, {}), levels, record)[last] = value
    return record


def shown(name: str, value: Any) -> list[str]:
    r"""Returns the lines that show a finding: a table if it has rows, none for a list, else one line.

    Example:
        >>> table = {"all": {"accuracy": 0.5, "maps": 4}, "shape": {"accuracy": 1.0, "maps": 2}}
        >>> print("\n".join(shown("maps", table)))
        maps   accuracy      maps
        all       0.500         4
        shape     1.000         2
        >>> shown("collages", {"accuracy": 0.75, "maps": 8}), shown("layer", "relu5_3")
        (['collages: accuracy 0.750, maps 8'], ['layer: relu5_3'])
    """
    if isinstance(value, list):
        return []
    if not isinstance(value, Mapping):
        return [f"{name}: {_number(value)}"]
    if not any(isinstance(row, Mapping) for row in value.values()):
        return [f"{name}: " + ", ".join(f"{key} {_number(number)}" for key, number in value.items())]
    columns, first = list(next(iter(value.values()))), max(map(len, (name, *value)))
    rows = {name: columns} | {label: [_number(row[column]) for column in columns] for label, row in value.items()}
    widths = [max(10, *(len(cells[place]) + 2 for cells in rows.values())) for place in range(len(columns))]
    return [
        f"{label:<{first}}" + "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
        for label, cells in rows.items()
    ]


def _number(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
