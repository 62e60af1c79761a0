"""Durations in few cells."""

from __future__ import annotations

import pytest

from heliogram.observe.latency import MAX_MS, cell_of, percentile, upper_ms


@pytest.mark.parametrize("ms", [0, 1, 31, 63, 64, 65, 127, 128, 1_000, 65_535, 65_536, MAX_MS])
def test_a_cell_holds_its_duration_within_three_in_a_hundred(ms: int) -> None:
    """Exact below 64 ms; above, the cell's end is at most 1/32 later."""
    upper = upper_ms(cell_of(ms))
    assert ms <= upper <= ms + ms // 32
    assert cell_of(upper) == cell_of(ms)
    assert cell_of(upper + 1) == cell_of(ms) + 1 or ms == MAX_MS


@pytest.mark.parametrize(("ms", "counts_as"), [(-1, 0), (MAX_MS + 1, MAX_MS), (10**9, MAX_MS)])
def test_what_is_out_of_bounds_counts_at_the_bound(ms: int, counts_as: int) -> None:
    """A clock that was set back makes negative ones."""
    assert cell_of(ms) == cell_of(counts_as)


def test_percentiles_of_known_durations() -> None:
    """Half of them, 99 of 100, and none of none."""
    cells = {cell_of(ms): 1 for ms in range(60)} | {cell_of(5_000): 1}
    assert percentile(cells, 0.5) == 30
    assert percentile({cell_of(8): 98, cell_of(31): 2}, 0.99) == 31
    assert percentile({cell_of(8): 99, cell_of(31): 1}, 0.99) == 8
    assert percentile({}, 0.5) is None
