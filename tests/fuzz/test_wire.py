"""Any bytes at all: the sessions and the decoder keep their promises (see `support.fuzzing`).

What coverage-guided fuzzing has found worth keeping is replayed, then hypothesis goes on from there. In CI the inputs
are the same each time, and there are few enough for half a minute.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.fuzzing import CORPUS, TARGETS, corpus, seeds

IN_CI = bool(os.environ.get("CI"))
EXAMPLES = 3000 if IN_CI else 500
every_target = pytest.mark.parametrize("target", sorted(TARGETS))

_KEPT = {name: [*seeds(name), *corpus(name)] for name in TARGETS}


@st.composite
def _changed(draw: st.DrawFn, name: str) -> bytes:
    """An input that was kept, with a few bytes replaced, put in, or taken out, or the half of another behind it."""
    data = bytearray(draw(st.sampled_from(_KEPT[name])))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        kind = draw(st.integers(0, 3))
        if kind == 0:
            data[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
        elif kind == 1:
            data[at:at] = draw(st.binary(max_size=8))
        elif kind == 2:
            del data[at : at + draw(st.integers(1, 8))]
        else:
            data[at:] = draw(st.sampled_from(_KEPT[name]))[at // 2 :]
    return bytes(data)


@every_target
def test_what_was_kept(target: str) -> None:
    """Every kept input, and every way to cut it short, leads to events or to a ProtocolError, and loses no push."""
    for data in _KEPT[target]:
        TARGETS[target](data)
        TARGETS[target](data[: len(data) // 2])


def test_the_corpus_is_small() -> None:
    """What is kept fits into 200 KB, so that the repository stays light."""
    assert 0 < sum(path.stat().st_size for path in CORPUS.iterdir()) < 200_000


@every_target
@settings(max_examples=EXAMPLES, derandomize=IN_CI, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_changed_traffic(target: str, data: st.DataObject) -> None:
    """Traffic with a few bytes wrong: only ProtocolError, every tag once, everything within its bounds."""
    TARGETS[target](data.draw(_changed(target)))


@every_target
@settings(max_examples=EXAMPLES, derandomize=IN_CI, deadline=None)
@given(data=st.binary(max_size=400))
def test_any_bytes(target: str, data: bytes) -> None:
    """Bytes out of nowhere: only ProtocolError, every tag once, everything within its bounds."""
    TARGETS[target](data)
