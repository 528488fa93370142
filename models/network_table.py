"""The table of `models list`, which a user chooses by."""

from __future__ import annotations

from collections.abc import Sequence

from fc7.models.common.program import command_line
from fc7.models.common.text_table import fitted_table
from fc7.models.listing import Row
from fc7.models.store.measured import Measured

# Heading -> is it a number, set flush right?
_COLUMNS = {
    "NETWORK": False,
    "WHERE": False,
    "TOP-1/5": True,
    "MB": True,
    "PARAMS": True,
    "MACS": True,
    "FEATURES": False,
    "LICENCE": False,
}
# Shown once `models bench` has run here.
_MEASURED_COLUMNS = {"IMG/S": True, "PEAK MB": True}
_WIDTH = 100
# What gives way, how far and in which order; `models show` has all of it in full.
_LEAST = (
    *(("NETWORK", 24), ("LICENCE", 14), ("FEATURES", 12)),
    *(("LICENCE", 8), ("FEATURES", 8), ("NETWORK", 17)),
)


def network_table(rows: Sequence[Row]) -> str:
    """The table a user chooses by, in lines of at most 100 characters (`table_legend` says what it means)."""
    any_measured = any(row["measured"] is not None for row in rows)
    cells = [
        (
            f"{row['name']} *" if row["default"] else row["name"],
            _where(row),
            _accuracy(row),
            "-" if row["bytes"] is None else _three_digits(row["bytes"] / 1e6),
            _large(row["params"]),
            _large(row["macs"]),
            "-" if row["layer"] is None else f"{row['dim']:>4} {row['layer']}",
            row["licence"] or "-",
            *(_speed_and_peak(row) if any_measured else ()),
        )
        for row in rows
    ]
    columns = _COLUMNS | (_MEASURED_COLUMNS if any_measured else {})
    return fitted_table(columns, cells, _WIDTH, least=_LEAST)


def table_legend() -> str:
    """What the marks of `network_table` mean, in two lines."""
    return (
        f"*: the default; `{command_line('models', 'default')}` says who chose it, and chooses another\n"
        "store, installed: here; fetch: `models pull`; pip: `models show` says how; build: on first use"
    )


def _where(row: Row) -> str:
    if row["in_store"]:
        return "damaged" if row["damaged"] else "store"
    if row["installed"]:
        return "installed"
    if row["package"] is not None:
        return "pip"
    return "fetch" if row["trained"] else "build"


def _speed_and_peak(row: Row) -> tuple[str, str]:
    if row["measured"] is None:
        return "-", "-"
    measured = Measured(**row["measured"])
    return f"{measured.images_per_second:.1f}", measured.peak_text


def _accuracy(row: Row) -> str:
    if row["trained"] is False:
        return "random"
    if row["top1"] is None:
        return "-"
    return f"{row['top1']:.1f}/" + ("-" if row["top5"] is None else f"{row['top5']:.1f}")


def _large(number: int | None) -> str:
    if number is None:
        return "-"
    return f"{_three_digits(number / 1e9)}G" if number >= 1e9 else f"{_three_digits(number / 1e6)}M"


def _three_digits(number: float) -> str:
    """1.58, 61.0, 724: three digits, or as many as stand before the point."""
    return f"{number:.{2 if number < 9.995 else 1 if number < 99.95 else 0}f}"
