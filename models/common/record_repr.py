"""A record's repr in one line: arrays by their shape, long collections by their number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import fields, is_dataclass

from fc7.models.common.terminal import counted

# A longer text is cut, a longer collection is counted.
_LONGEST_TEXT = 60
_MOST_ITEMS = 4


def one_line_repr(record: object) -> str:
    """What a dataclass shows of itself: ``__repr__ = one_line_repr`` in its body.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> import numpy as np
    >>> @dataclass
    ... class Rows:
    ...     X: np.ndarray
    ...     paths: list[str]
    ...     __repr__ = one_line_repr
    >>> Rows(np.zeros((60, 3)), ["a.jpg"] * 60)
    Rows(X=<60x3 float64>, paths=<60 items>)
    """
    assert is_dataclass(record)
    shown = (f"{field.name}={_shown(getattr(record, field.name))}" for field in fields(record) if field.repr)
    return f"{type(record).__name__}({', '.join(shown)})"


def _shown(value: object) -> str:
    if is_dataclass(value):
        return f"{type(value).__name__}(...)"
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"<{'x'.join(map(str, value.shape)) or 'one'} {value.dtype}>"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str):
        return repr(value if len(value) <= _LONGEST_TEXT else f"{value[:_LONGEST_TEXT]}...")
    if isinstance(value, Sequence | Mapping | Set) and not isinstance(value, bytes):
        items = [*value.keys(), *value.values()] if isinstance(value, Mapping) else [*value]
        plain = all(isinstance(item, str | int | float | None) for item in items)
        if len(value) > _MOST_ITEMS or not plain or len(repr(value)) > _LONGEST_TEXT:
            return f"<{counted(len(value), 'item')}>"
    return repr(value)
