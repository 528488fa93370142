"""Items whose sizes add up as near to a number as can be: how a class fills up with its groups."""

from __future__ import annotations

from collections.abc import Sequence


def nearest_subset(sizes: Sequence[int], wanted: int, low: int, high: int) -> list[bool]:
    """Choose items whose sizes add up as near to `wanted` as any choice can, earlier items first.

    Parameters
    ----------
    sizes : sequence of int
        Each at least 1.
    low, high : int
        The sum lies in this range if any sum does; of two sums equally near the larger is taken.

    Returns
    -------
    list of bool
        Of two choices with that sum, the one that takes the earliest item in which they differ.
    """
    # Bit s of reach[i] is set if some of the items of more than one from i on add up to s. Single
    # images fill any gap up to their number, so that only groups and copies cost memory.
    n = len(sizes)
    singles = [0] * (n + 1)
    reach = [1] * (n + 1)
    for i in range(n - 1, -1, -1):
        singles[i] = singles[i + 1] + (sizes[i] == 1)
        reach[i] = reach[i + 1] if sizes[i] == 1 else reach[i + 1] | reach[i + 1] << sizes[i]

    def possible(i: int, s: int) -> bool:
        if s < 0:
            return False
        fill = min(singles[i], s)
        above = reach[i] >> (s - fill)
        lowest = (above & -above).bit_length() - 1
        return 0 <= lowest <= fill

    outward = (wanted + sign * d for d in range(sum(sizes) + abs(wanted) + 1) for sign in (1, -1))
    left = next((s for s in outward if low <= s <= high and possible(0, s)), 0)
    chosen = []
    for i, size in enumerate(sizes):
        take = possible(i + 1, left - size)
        left -= size if take else 0
        chosen.append(take)
    return chosen
