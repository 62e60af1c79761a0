"""Durations, counted in few cells: exact to the millisecond below 64, within 3 in 100 above."""

from __future__ import annotations

from collections.abc import Mapping

_EXACT = 64
_HALF = 32
MAX_MS = (1 << 20) - 1
"""Longer ones (17 minutes) count as this."""


def cell_of(ms: int) -> int:
    """The cell that a duration counts in."""
    if ms < _EXACT:
        return max(0, ms)
    ms = min(ms, MAX_MS)
    shift = ms.bit_length() - 6
    return shift * _HALF + (ms >> shift)


def upper_ms(cell: int) -> int:
    """The longest duration that counts in a cell."""
    if cell < _EXACT:
        return cell
    shift = cell // _HALF - 1
    return ((cell - shift * _HALF + 1) << shift) - 1


def percentile(cells: Mapping[int, int], share: float) -> int | None:
    """The duration (ms) within which this share of all stay; None of none."""
    wanted, seen = share * sum(cells.values()), 0
    for cell in sorted(cells):
        seen += cells[cell]
        if seen >= wanted and seen:
            return upper_ms(cell)
    return None
