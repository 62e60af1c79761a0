"""Messages on a socket, however their bytes arrive."""

from __future__ import annotations

import asyncio
import itertools
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliogram.senders.frames import MAX_BEHIND, FrameTooLarge, Wire

pytestmark = pytest.mark.anyio


class End:
    """One end, fed by hand."""

    def __init__(self, max_frame: int = 100) -> None:
        self.got: list[bytes] = []
        self.lost = 0
        self.wire = Wire(self.got.append, self._end, max_frame=max_frame)

    def _end(self) -> None:
        self.lost += 1


def framed(*bodies: bytes) -> bytes:
    return b"".join(len(body).to_bytes(4, "big") + body for body in bodies)


@settings(max_examples=60, deadline=None)
@given(bodies=st.lists(st.binary(max_size=40), max_size=6), cuts=st.lists(st.integers(0, 300), max_size=8))
def test_however_bytes_are_cut_the_messages_are_whole(bodies: list[bytes], cuts: list[int]) -> None:
    """A stream has no borders of its own."""
    end, stream = End(), framed(*bodies)
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    for begin, until in itertools.pairwise(places):
        end.wire.data_received(stream[begin:until])
    assert (end.got, end.lost) == (bodies, 0)


@pytest.mark.parametrize(("size", "lost"), [(100, 0), (101, 1)])
def test_the_largest_message_is_taken_and_one_byte_more_ends_it(size: int, lost: int) -> None:
    """At the bound and one past it; what comes after the end is not looked at."""
    end = End()
    end.wire.data_received(framed(b"x" * size, b"y"))
    assert end.lost == lost
    assert end.got == ([] if lost else [b"x" * size, b"y"])
    end.wire.data_received(framed(b"z"))
    end.wire.connection_lost(None)
    assert end.lost == 1
    assert end.got == ([] if lost else [b"x" * size, b"y", b"z"])


@pytest.mark.parametrize("size", [100, 101])
def test_nobody_sends_more_than_is_taken(size: int) -> None:
    """The sender of a message that is too large hears of it; the socket stays good."""
    end = End()
    if size > 100:
        with pytest.raises(FrameTooLarge, match="101 bytes"):
            end.wire.send(b"x" * size)
    else:
        end.wire.send(b"x" * size)
    assert end.lost == 0


def test_a_message_that_is_none_ends_it() -> None:
    """What one process of ours does not understand from another is not to be guessed at."""

    def refuse(body: bytes) -> None:
        raise ValueError("no message")

    lost: list[int] = []
    wire = Wire(refuse, lambda: lost.append(1))
    wire.data_received(framed(b"garbage", b"more"))
    wire.connection_lost(None)
    assert lost == [1]


async def test_who_does_not_listen_is_told_no_hints() -> None:
    """The other end's memory is its own affair: ours stays bounded. What must arrive is sent all the same."""
    ours, theirs = socket.socketpair()
    with theirs:
        end = End(max_frame=MAX_BEHIND * 4)
        transport, _ = await asyncio.get_running_loop().create_unix_connection(lambda: end.wire, sock=ours)
        for _ in range(20):
            end.wire.hint(b"x" * MAX_BEHIND)
        behind = transport.get_write_buffer_size()
        assert MAX_BEHIND < behind <= 3 * MAX_BEHIND
        end.wire.send(b"x" * MAX_BEHIND)
        assert transport.get_write_buffer_size() > behind
        transport.abort()
