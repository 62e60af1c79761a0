"""The pure parts, under inputs nobody thought of: verdicts never depend on what was skipped, and nothing raises."""

from __future__ import annotations

import json
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.sim_client import ALERT, KEY_ID, TEAM, TOPIC, Clock, Signer

from heliogram.simulator import RULES, Settings
from heliogram.simulator.answering import Apns
from heliogram.simulator.conduct import ALIKE
from heliogram.simulator.conduct import TOKENS as REFUSED
from heliogram.simulator.jwt import verify
from heliogram.simulator.keys import KeyRing
from heliogram.simulator.lockscreen import Arrival, read
from heliogram.simulator.rules import Push, judge

SIGNER, OTHER = Signer(), Signer("KEYTOPIC01")
START = 1_800_000_000
TOKENS = [SIGNER.token(START), SIGNER.token(START - 3000), OTHER.token(START), "junk"]
CHANGES = ["none", "none", "none", "revoke", "import", "narrow", "wait", "uninstall"]

ELSEWHERE = ["/3/device/" + "00" * 32, "/3/device/" + "AB" * 32, "/3/device/zz", "/3/device/", "/3/device/00/1", "/2"]

pushes = st.fixed_dictionaries(
    {
        "change": st.sampled_from(CHANGES),
        "token": st.sampled_from([0, 0, 0, 0, 1, 2, 3]),
        "topic": st.sampled_from([TOPIC, TOPIC, TOPIC, TOPIC + ".voip", "com.example.b"]),
        "push_type": st.sampled_from([b"alert", b"alert", b"voip", b"silent", None]),
        "extra": st.sampled_from([(), (), (b"apns-priority", b"5"), (b"apns-priority", b"x"), (b"apns-id", b"x")]),
        "body": st.sampled_from([ALERT, ALERT, b""]),
        "path": st.sampled_from([None, None, None, *ELSEWHERE]),
    }
)


class Bench:
    """A world without sockets, and two sessions that see the same pushes."""

    def __init__(self) -> None:
        self.clock = Clock(START)
        self.apns = Apns(settings=Settings(token_changes=3), clock=self.clock)
        self.apns.keys.add(KEY_ID, TEAM, SIGNER.public_pem)
        self.device = self.apns.registry.add_device("a phone", "ios")
        self.apns.registry.install(self.device.id, TOPIC, "production")
        self.path = "/3/device/" + (self.apns.registry.launch(self.device.id, TOPIC).device_token or "")
        self.judged, self.witness = self.apns.open_session(), self.apns.open_session()

    def change(self, what: str) -> None:
        if what == "revoke" and self.apns.keys.get(KEY_ID):
            self.apns.keys.revoke(KEY_ID)
        elif what == "import":
            self.apns.keys.add(KEY_ID, TEAM, SIGNER.public_pem)
            self.apns.keys.add(OTHER.key_id, TEAM, OTHER.public_pem, environment="production")
        elif what == "narrow":
            self.apns.keys.add(KEY_ID, TEAM, SIGNER.public_pem, topics=["com.example.b"], environment="sandbox")
        elif what == "wait":
            self.clock.move(700)
        elif what == "uninstall" and TOPIC in self.device.apps:
            self.apns.registry.uninstall(self.device.id, TOPIC)

    def push(self, session: Any, step: dict[str, Any]) -> Push:
        headers = [
            (b":method", b"POST"),
            (b":path", (step.get("path") or self.path).encode()),
            (b"authorization", b"bearer " + TOKENS[step["token"]].encode()),
            (b"apns-topic", step["topic"].encode()),
        ]
        if step["push_type"] is not None:
            headers.append((b"apns-push-type", step["push_type"]))
        if step["extra"]:
            headers.append(step["extra"])
        return Push(
            tuple(headers),  # as the wire gives them
            step["body"],
            len(step["body"]),
            environment="production",
            session=session,
            registry=self.apns.registry,
            settings=self.apns.settings,
            now=self.clock(),
        )


@settings(max_examples=150, deadline=None)
@given(st.lists(pushes, max_size=12))
def test_verdicts_are_those_of_the_whole_table(steps: list[dict[str, Any]]) -> None:
    """9.3: `judge` answers as if every rule were asked in order, whatever came before on the connection."""
    bench = Bench()
    for step in steps:
        bench.change(step["change"])
        whole = bench.push(bench.witness, step)
        expected = next((rule.reason for rule in RULES if rule.objects(whole)), None)
        assert judge(bench.push(bench.judged, step)) == expected


def answered(bench: Bench, session: Any, step: dict[str, Any]) -> tuple[Any, ...]:
    push = bench.push(session, step)
    answer = bench.apns.answer(session, "production", push.headers, step["body"], len(step["body"]))
    (logged,) = bench.apns.journal.latest(1)
    kept = tuple(getattr(logged, name) for name in logged.__struct_fields__ if name not in ("number", "connection"))
    return answer.status, answer.body, kept[:7], kept[8:]  # without the id that was made


@settings(max_examples=150, deadline=None)
@given(st.lists(pushes, max_size=12), st.integers(1, 4))
def test_pushes_alike_are_answered_as_if_each_was_judged(steps: list[dict[str, Any]], times: int) -> None:
    """9.3: the short way for a push that is like the one before it gives the answer and the entry of the long way."""
    bench, witness = Bench(), Bench()
    witness.path = bench.path
    witness.apns.registry.tokens[bench.path[10:].encode()] = next(iter(witness.apns.registry.tokens.values()))
    for step in steps:
        bench.change(step["change"])
        witness.change(step["change"])
        for _ in range(times):
            witness.judged.alike = None
            found, expected = answered(bench, bench.judged, step), answered(witness, witness.judged, step)
            assert found[:2] == expected[:2] or found[0] == expected[0] == 410  # whose body has a time
            assert [part if part != bench.device.id else witness.device.id for part in found[3]] == list(expected[3])


@pytest.mark.parametrize(
    ("extra", "length"),
    [((), False), (((b"apns-id", b"8e4d1f0a-0000-4000-8000-000000000001"),), False), ((), True)],
)
def test_the_short_way_is_taken(extra: tuple[tuple[bytes, bytes], ...], length: bool) -> None:
    """The third push that differs in path, id, body and its length alone is not judged anew."""
    bench = Bench()
    for number in range(4):
        body = b'{"aps":{"alert":"%b"}}' % (b"x" * number)
        headers = [*bench.push(bench.judged, PLAIN).headers, *extra]
        if length:
            headers.append((b"content-length", b"%d" % len(body)))
        assert (bench.judged.alike is not None) == (number > 1)
        assert bench.apns.answer(bench.judged, "production", tuple(headers), body, len(body)).status == 200
    assert "topic=b'com.example.app'" in repr(bench.judged.alike)


@pytest.mark.parametrize("path", ELSEWHERE[:3])
def test_the_short_way_is_taken_for_tokens_nobody_has(path: str) -> None:
    """REQ-6: the third push of a campaign to tokens that were never issued is not judged anew, nor a good one then."""
    bench = Bench()
    lost = {**PLAIN, "path": path}
    for number in range(4):
        assert (bench.judged.alike is not None) == (number > 1)
        answer = bench.apns.answer(
            bench.judged, "production", bench.push(bench.judged, lost).headers, ALERT, len(ALERT)
        )
        assert (answer.status, answer.body) == (400, b'{"reason":"BadDeviceToken"}')
    alike = bench.judged.alike
    assert answered(bench, bench.judged, PLAIN)[0] == 200
    assert bench.judged.alike is alike
    assert bench.apns.journal.outcomes == {"BadDeviceToken": 4, "Accepted": 1}


def test_the_short_way_knows_upper_case_digits() -> None:
    """REQ-6: a known token in upper case is not one that nobody has."""
    bench = Bench()
    for _ in range(3):
        assert answered(bench, bench.judged, {**PLAIN, "path": ELSEWHERE[0]})[0] == 400
    assert answered(bench, bench.judged, {**PLAIN, "path": "/3/device/" + bench.path[10:].upper()})[0] == 200


def test_the_short_way_tells_of_tokens_that_were_refused_before() -> None:
    """5: a token that was answered BadDeviceToken a second ago, in any case, is a violation; 20 are told."""
    bench = Bench()
    for _ in range(3):
        answered(bench, bench.judged, {**PLAIN, "path": ELSEWHERE[1]})
    assert bench.apns.violations.total == 0
    bench.clock.move(1)
    for _ in range(ALIKE + 1):
        answered(bench, bench.judged, {**PLAIN, "path": ELSEWHERE[1].lower()})
    assert bench.apns.violations.by_rule == {"5": ALIKE}
    (latest,) = bench.apns.violations.latest(1)
    assert (latest.request, latest.details) == (3 + ALIKE, {"token": "ab" * 32})


def test_refused_tokens_are_remembered_up_to_a_bound() -> None:
    """Of the tokens refused for good the oldest is forgotten when there are too many."""
    bench = Bench()
    for number in range(REFUSED + 1):
        assert len(bench.apns.conduct.dead) == number
        path = f"/3/device/{number:064x}"
        push = bench.push(bench.judged, {**PLAIN, "path": path})
        bench.apns.answer(bench.judged, "production", push.headers, ALERT, len(ALERT))
    assert len(bench.apns.conduct.dead) == REFUSED
    assert ("production", b"0" * 64, TOPIC.encode()) not in bench.apns.conduct.dead


PLAIN = {"change": "none", "token": 0, "topic": TOPIC, "push_type": b"alert", "extra": (), "body": ALERT}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"path": b"/3/device/zz"}, b"BadDeviceToken"),
        ({"path": b"/2"}, b"BadPath"),
        ({"apns-id": b"x"}, b"BadMessageId"),
        ({"apns-topic": b"com.example.other"}, b"DeviceTokenNotForTopic"),
        ({"apns-priority": b"7"}, b"BadPriority"),
        ({"name": b"x-path"}, b"BadPath"),
        ({"body": b""}, b"PayloadEmpty"),
        ({"body": b"x" * 4097}, b"PayloadTooLarge"),
        ({"wait": 3601}, b"ExpiredProviderToken"),
        ({"revoke": True}, b"InvalidProviderToken"),
        ({"uninstall": True}, b"Unregistered"),
    ],
)
def test_the_short_way_is_left_for_anything_else(change: dict[str, Any], reason: bytes) -> None:
    """9.3: what is not like the pushes before it is judged by every rule."""
    bench = Bench()
    pairs = [*bench.push(bench.judged, PLAIN).headers]
    pairs += [(b"apns-priority", b"10"), (b"apns-id", b"8e4d1f0a-0000-4000-8000-000000000001")]
    for _ in range(3):
        assert bench.apns.answer(bench.judged, "production", tuple(pairs), ALERT, len(ALERT)).status == 200
    assert bench.judged.alike is not None
    fields = dict(pairs)
    fields[b":path"] = change.get("path", fields[b":path"])
    for name in ("apns-id", "apns-topic", "apns-priority"):
        fields[name.encode()] = change.get(name, fields[name.encode()])
    bench.clock.move(change.get("wait", 0))
    for what in ("revoke", "uninstall"):
        if change.get(what):
            bench.change(what)
    headers = tuple((change.get("name", name) if name == b":path" else name, value) for name, value in fields.items())
    body = change.get("body", ALERT)
    answer = bench.apns.answer(bench.judged, "production", headers, body, len(body))
    assert b'"reason":"%b"' % reason in answer.body


KEYS = KeyRing(random.Random(1).choice)
KEYS.add(KEY_ID, TEAM, SIGNER.public_pem)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300) | st.lists(st.binary(max_size=60), min_size=3, max_size=3).map(b".".join))
def test_any_bytes_are_no_token(token: bytes) -> None:
    """TOK-19: no bytes but a signed token are verified, and none make the check fail otherwise."""
    assert verify(token, KEYS) is None


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 255))
def test_one_changed_byte_spoils_a_token(at: int, byte: int) -> None:
    """TOK-19: a token with any character changed is not verified (but for the two unused bits at its end)."""
    token = TOKENS[0].encode()
    at %= len(token) - 1
    changed = token[:at] + bytes([byte]) + token[at + 1 :]
    assert (verify(changed, KEYS) is not None) == (changed == token)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["aps", "alert", "badge", "sound", "title", "body", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_payload_can_be_shown(body: bytes) -> None:
    """SIZE-3: whatever body was accepted, the device's list can be read and encoded."""
    shown = read(Arrival(b"id", None, TOPIC.encode(), None, None, None, body, 0.0))
    assert msgspec.json.encode(shown)
