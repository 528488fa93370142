"""How ``--ray`` may stand without an address."""

from __future__ import annotations

import re
from collections.abc import Sequence

from fc7.extract.options import AUTO

_ADDRESS = re.compile(r"auto|local|ray://.+|[A-Za-z0-9_.-]+:\d{1,5}|\[[0-9A-Fa-f:]+\]:\d{1,5}")


def with_addresses(arguments: Sequence[str]) -> list[str]:
    """Arguments in which every bare ``--ray`` is given the address ``auto``.

    An option's value cannot be left out in Typer. What follows ``--ray`` is its value only if it looks
    like an address, so ``extract --ray imgs/`` means what it seems to mean.
    """
    found = list(arguments)
    end = found.index("--") if "--" in found else len(found)
    for i in reversed(range(end)):
        if found[i] == "--ray" and not (i + 1 < end and _ADDRESS.fullmatch(found[i + 1])):
            found.insert(i + 1, AUTO)
    return found
