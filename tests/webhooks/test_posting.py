"""One POST over real sockets: bounded in time and bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from support.webhooks import LOOPBACK, Receiver, resolving, status

from heliogram.webhooks.connecting import Connector
from heliogram.webhooks.posting import MAX_ANSWER, MAX_HEAD, USER_AGENT, Poster, Session, seconds_of
from heliogram.webhooks.urls import read

pytestmark = pytest.mark.anyio


def poster(seconds: float = 10.0) -> Poster:
    return Poster(Connector(LOOPBACK, resolve=resolving("127.0.0.1")), seconds=seconds)


@pytest.fixture
async def session(receiver: Receiver) -> AsyncIterator[Session]:
    async with poster().session(read(receiver.url, LOOPBACK)) as made:
        yield made


async def test_the_request_says_what_it_is(session: Session, receiver: Receiver) -> None:
    """Host, length, sender and the headers that were given."""
    answer = await session.post({"Content-Type": "text/plain"}, b"hello")
    assert (answer.taken, answer.status, answer.error) == (True, 200, "")
    (got,) = receiver.got
    assert got.body == b"hello"
    assert got.headers == {
        "host": f"localhost:{receiver.port}",
        "user-agent": USER_AGENT,
        "accept": "*/*",
        "content-length": "5",
        "content-type": "text/plain",
    }


async def test_the_connection_is_used_again(session: Session, receiver: Receiver) -> None:
    """As long as the receiver keeps it."""
    for _ in range(3):
        assert (await session.post({}, b"x")).taken
    assert receiver.connections == 1


async def test_a_connection_that_the_receiver_ends_is_replaced(session: Session, receiver: Receiver) -> None:
    """`Connection: close` after each answer costs a connection each, and no request."""
    receiver.answer = lambda got: status(200, "Connection: close")
    for _ in range(3):
        assert (await session.post({}, b"x")).taken
    assert (receiver.connections, len(receiver.got)) == (3, 3)


async def test_a_kept_connection_that_is_dead_is_replaced_once(session: Session, receiver: Receiver) -> None:
    """Closed without an answer while it was reused: the request goes over a new one, and only once more."""
    assert (await session.post({}, b"1")).taken
    receiver.answer = lambda got: b"" if receiver.connections == 1 else status(200)
    assert (await session.post({}, b"2")).taken
    assert receiver.connections == 2
    receiver.answer = lambda got: b""
    answer = await session.post({}, b"3")
    assert answer.error == "the connection was closed before an answer came"
    assert receiver.connections == 3


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\n\r\nwhatever",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * (MAX_ANSWER + 1),
    ],
)
async def test_every_form_of_a_2xx_is_taken(session: Session, receiver: Receiver, answer: bytes) -> None:
    """Chunked, empty, after interim answers, without a length, and with more than is read."""
    receiver.answer = lambda got: answer
    assert (await session.post({}, b"x")).taken
    receiver.accept()
    assert (await session.post({}, b"x")).taken


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 200", "the connection was closed before an answer came"),
        (b"garbage\r\n\r\n", "the answer is not HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * (MAX_HEAD // 6), f"the answer's head is over {MAX_HEAD} bytes"),
        (b"HTTP/1.1 200 OK\r\na: " + b"b" * MAX_HEAD, f"the answer's head is over {MAX_HEAD} bytes"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "the receiver wants"),
    ],
)
async def test_what_is_no_answer_is_a_failure(session: Session, receiver: Receiver, answer: bytes, error: str) -> None:
    """And is not read for ever."""

    def once(got: object) -> bytes:
        asyncio.get_running_loop().call_soon(receiver.close)
        return answer

    receiver.answer = once
    said = await session.post({}, b"x")
    assert said.error.startswith(error)
    assert not said.taken


async def test_a_silent_receiver_is_given_up_in_time(receiver: Receiver) -> None:
    """The time is for all of it."""
    receiver.answer = lambda got: b"HTTP/1.1 "
    async with poster(0.05).session(read(receiver.url, LOOPBACK)) as session:
        answer = await session.post({}, b"x")
    assert answer.error == "no answer within 0.05 s"
    assert answer.took_ms >= 50


async def test_a_body_that_does_not_end_changes_nothing_about_the_status(receiver: Receiver) -> None:
    """The head is the answer. The body is waited for to the end of the time: enough of it for the head to come."""
    receiver.answer = lambda got: b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"
    async with poster(2.0).session(read(receiver.url, LOOPBACK)) as session:
        assert (await session.post({}, b"x")).taken


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 40.0),
        ("Thu, 01 Jan 1970 00:00:10 GMT", 0.0),
        ("", None),
        ("-5", None),
        ("soon", None),
        ("1" * 10, None),
    ],
)
async def test_retry_after_is_read_in_both_forms(text: str, seconds: float | None) -> None:
    """RFC 9110 10.2.3: seconds, or a date."""
    assert seconds_of(text, lambda: 60.0) == seconds
