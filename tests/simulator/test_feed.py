"""The feed of live events: who listens, and when publishers need not trouble."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from heliogram.simulator.feed import Feed, Subscription, Tally


@pytest.mark.parametrize("listen", [Feed.subscribe, Feed.tally], ids=["subscription", "tally"])
def test_it_is_live_for_as_long_as_somebody_listens(listen: Callable[[Feed], Subscription | Tally]) -> None:
    """Whoever counts is a listener like any other."""
    feed = Feed()
    seen = [feed.live]
    first, second = listen(feed), listen(feed)
    seen.append(feed.live)
    first.close()
    seen.append(feed.live)
    second.close()
    seen.append(feed.live)
    assert seen == [False, True, True, False]
