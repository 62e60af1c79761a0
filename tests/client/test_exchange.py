"""How requests are asked again: the conversation itself, without a socket or a clock."""

from __future__ import annotations

import pickle
from typing import Any, cast

import pytest

from heliogram.client.calls import Call
from heliogram.client.content import Content
from heliogram.client.enums import OperationStatus
from heliogram.client.errors import HeliogramError, Unreachable
from heliogram.client.exchange import LONGEST_ASKED, Ask, Lost, Pause, Reply, Talk
from heliogram.client.holdings import App, DefaultFlag
from heliogram.client.upkeep import Health

APP = (
    b'{"name":"a","isDefault":true,"defaultCredentials":[],'
    b'"createdAt":"2026-01-02T03:04:05Z","updatedAt":"2026-01-02T03:04:05Z"}'
)
READ: Call[App] = Call(method="GET", route="/Apps/{appName}", path={"appName": "a"}, returns=App)
WRITE: Call[App] = Call(method="PATCH", route="/Apps/a", returns=App, body=DefaultFlag(is_default=True))
HERE = "http://h:1"


def hold(call: Call[Any], *replies: Reply | Lost, retries: int = 3, **more: Any) -> tuple[list[Ask], list[float], Any]:
    """Holds the conversation with these replies: what was asked, the pauses, the answer."""
    steps = Talk(HERE, "id.secret", retries=retries, random=lambda: 0.5, **more).exchange(call)
    asked, paused, left = list[Ask](), list[float](), [*replies]
    reply: Reply | Lost | None = None
    while True:
        try:
            step = steps.send(reply)
        except StopIteration as end:
            assert not left
            return asked, paused, end.value
        if isinstance(step, Pause):
            paused.append(step.seconds)
            reply = None
        else:
            asked.append(step)
            reply = left.pop(0)


def refused(status: int, code: int = 20503, **headers: str) -> Reply:
    body = '{"type":"t","title":"No","status":%d,"code":%d,"detail":"d","message":"d","more_info":"m","errors":[]}'
    return Reply(
        status, {name.replace("_", "-"): text for name, text in headers.items()}, (body % (status, code)).encode()
    )


OK = Reply(200, {}, APP)


def test_a_request_carries_the_key_and_what_it_accepts() -> None:
    """Bearer with id and secret; whoever looks at the request sees neither."""
    [ask], _, app = hold(READ, OK)
    assert (ask.method, ask.url) == ("GET", "http://h:1/v1/Apps/a")
    assert ask.headers["Authorization"] == "Bearer id.secret"
    assert "secret" not in repr(ask)
    assert app.name == "a"


@pytest.mark.parametrize("trouble", [refused(503), refused(502), refused(504), refused(429), Lost("it broke")])
def test_what_may_pass_is_asked_again_after_growing_pauses(trouble: Reply | Lost) -> None:
    """Half of 0.5, 1 and 2 seconds here, for the jitter is half."""
    asked, paused, _ = hold(READ, trouble, trouble, trouble, OK)
    assert paused == [0.25, 0.5, 1.0]
    assert len({repr(each) for each in asked}) == 1


def test_a_pause_that_is_asked_for_is_kept_and_not_shortened() -> None:
    """`Retry-After` is a floor; the jitter comes on top, so that callers do not return together."""
    _, paused, _ = hold(READ, refused(429, retry_after="7"), OK)
    assert paused == [7.25]


def test_a_service_that_asks_for_too_long_is_not_waited_for() -> None:
    """300 s are waited, 301 are not."""
    _, paused, _ = hold(READ, refused(429, retry_after=f"{LONGEST_ASKED:g}"), OK)
    assert paused == [300.25]
    with pytest.raises(HeliogramError) as caught:
        hold(READ, refused(429, retry_after="301"))
    assert caught.value.retry_after == 301


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 500])
def test_what_will_not_pass_is_told_at_once(status: int) -> None:
    """Asking again would not help, or (500) must not be done blindly."""
    with pytest.raises(HeliogramError) as caught:
        hold(WRITE, refused(status, 70003))
    assert (caught.value.status, caught.value.code, caught.value.title) == (status, 70003, "No")


def test_after_the_last_try_the_trouble_is_told() -> None:
    """Three tries with two retries, none with none."""
    with pytest.raises(HeliogramError, match="503 No"):
        hold(READ, refused(503), refused(503), refused(503), retries=2)
    with pytest.raises(Unreachable, match="no answer from http://h:1: it broke"):
        hold(READ, Lost("it broke"), retries=0)


def test_all_tries_of_a_write_carry_one_key() -> None:
    """Made once for each call, or the caller's; reading carries none."""
    asked, _, _ = hold(WRITE, Lost("it broke"), refused(409, 70071, retry_after="1"), OK)
    keys = {each.headers["Idempotency-Key"] for each in asked}
    assert len(keys) == 1
    [other], _, _ = hold(WRITE, OK)
    assert other.headers["Idempotency-Key"] not in keys
    assert "Idempotency-Key" not in hold(READ, OK)[0][0].headers
    own: Call[App] = Call(method="DELETE", route="/x", returns=App, key="mine")
    assert hold(own, OK)[0][0].headers["Idempotency-Key"] == "mine"


def test_what_can_never_reach_anybody_is_not_tried_again() -> None:
    """A mistake of ours stays one."""
    with pytest.raises(Unreachable):
        hold(READ, Lost("no such scheme", again=False))


def test_health_is_asked_once_and_without_a_key() -> None:
    """A 503 there is an answer."""
    call: Call[Health] = Call(method="GET", route="/health/ready", returns=Health, alone=True)
    with pytest.raises(HeliogramError, match="503"):
        hold(call, refused(503))
    [ask], _, _ = hold(call, Reply(200, {}, b'{"status":"ok"}'))
    assert ask.url == "http://h:1/health/ready"
    assert "Authorization" not in ask.headers


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"<html>Bad\n Gateway", "none of Heliogram's: '<html>Bad Gateway'"), (b"", "The answer is empty")],
)
def test_an_error_of_something_in_between_is_told_as_it_is(content: bytes, told: str) -> None:
    """A proxy answers in its own words."""
    with pytest.raises(HeliogramError, match=told):
        hold(READ, Reply(418, {}, content))


def test_an_answer_that_cannot_be_read_is_told_with_what_was_asked() -> None:
    """Something else may listen there."""
    with pytest.raises(HeliogramError, match=r"GET /Apps/\{appName\}.*Is it Heliogram"):
        hold(READ, Reply(200, {}, b'{"name":1}'))


def test_raw_answers_are_what_their_json_says() -> None:
    """No field is lost that this client does not know."""
    _, _, answer = hold(READ, Reply(200, {}, b'{"new":[1]}'), raw=True)
    assert answer == {"new": [1]}


def test_words_and_fields_of_later_versions_are_read() -> None:
    """A status that is new is kept as it came; fields that are new are passed over."""
    assert OperationStatus("RESTING") == "RESTING"
    _, _, app = hold(READ, Reply(200, {}, APP[:-1] + b',"new":1}'))
    assert app.is_default
    assert OperationStatus("COMPLETED") is OperationStatus.COMPLETED
    with pytest.raises(ValueError, match="not a valid"):
        OperationStatus(cast(str, 3))


def test_ids_cannot_leave_their_place_in_the_path() -> None:
    """They are quoted; what would make another path is refused by name."""
    call: Call[App] = Call(method="GET", route="/Apps/{appName}", path={"appName": "a/../b?c"}, returns=App)
    assert call.target() == "/Apps/a%2F..%2Fb%3Fc"
    for text in ("", ".", ".."):
        with pytest.raises(ValueError, match="appName: expected an id"):
            Call(method="GET", route="/Apps/{appName}", path={"appName": text}, returns=App).target()


@pytest.mark.parametrize(
    "url",
    ["ftp://h", "h:8080", "http://", "http://h?x=1", "http://u:p@h", "http://u:p/w@h", "http://h#f", "http://h h"],
)
def test_addresses_that_are_none_are_refused(url: str) -> None:
    """Without repeating a password that stood in it."""
    with pytest.raises(ValueError, match="url: expected http") as caught:
        Talk(url, "id.secret", retries=0, random=lambda: 0)
    assert "u:p" not in str(caught.value)


@pytest.mark.parametrize("url", [HERE, "http://h:1/", "http://h:1/v1", "http://h:1/v1/"])
def test_an_address_may_name_the_version(url: str) -> None:
    """As it stands in the document."""
    assert Talk(url, "id.secret", retries=0, random=lambda: 0).url == HERE


@pytest.mark.parametrize("key", ["", "id", "id.", ".secret", "id secret", "id.sec\nret"])
def test_keys_that_are_none_are_refused_without_repeating_them(key: str) -> None:
    """The message says what is expected."""
    with pytest.raises(ValueError, match="api_key: expected the key's id and its secret") as caught:
        Talk(HERE, key, retries=0, random=lambda: 0)
    assert "sec" not in str(caught.value).replace("secret", "")


def test_errors_survive_a_trip_to_another_process() -> None:
    """As tests and workers that pickle need it."""
    error = HeliogramError(429, 20429, "Too many", "wait", retry_after=3)
    again = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (str(again), again.retry_after, again.code) == ("429 Too many: wait", 3, 20429)


def test_what_is_left_out_is_neither_sent_nor_shown() -> None:
    """Only what was said goes on the wire."""
    content = Content(body="x")
    assert Call(method="POST", route="/x", returns=App, body=content).content() == b'{"body":"x"}'
    assert repr(content) == "Content(body='x', mutable_content=False, content_available=False)"
