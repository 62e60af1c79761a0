"""The pure parts, under inputs nobody thought of: verdicts never depend on what was skipped, and nothing raises."""

from __future__ import annotations

import json
import random
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from support.sim_client import ALERT, KEY_ID, TEAM, TOPIC, Clock, Signer

from heliogram.simulator import RULES, Settings
from heliogram.simulator.answering import Apns
from heliogram.simulator.jwt import verify
from heliogram.simulator.keys import KeyRing
from heliogram.simulator.lockscreen import Arrival, read
from heliogram.simulator.rules import Push, judge

SIGNER, OTHER = Signer(), Signer("KEYTOPIC01")
START = 1_800_000_000
TOKENS = [SIGNER.token(START), SIGNER.token(START - 3000), OTHER.token(START), "junk"]
CHANGES = ["none", "none", "none", "revoke", "import", "narrow", "wait", "uninstall"]

pushes = st.fixed_dictionaries(
    {
        "change": st.sampled_from(CHANGES),
        "token": st.sampled_from([0, 0, 0, 0, 1, 2, 3]),
        "topic": st.sampled_from([TOPIC, TOPIC, TOPIC, TOPIC + ".voip", "com.example.b"]),
        "push_type": st.sampled_from([b"alert", b"alert", b"voip", b"silent", None]),
        "extra": st.sampled_from([(), (), (b"apns-priority", b"5"), (b"apns-priority", b"x"), (b"apns-id", b"x")]),
        "body": st.sampled_from([ALERT, ALERT, b""]),
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
            (b":path", self.path.encode()),
            (b"authorization", b"bearer " + TOKENS[step["token"]].encode()),
            (b"apns-topic", step["topic"].encode()),
        ]
        if step["push_type"] is not None:
            headers.append((b"apns-push-type", step["push_type"]))
        if step["extra"]:
            headers.append(step["extra"])
        return Push(
            headers,
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
