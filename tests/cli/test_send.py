"""`heliogram send` against the simulator, as a person runs it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.programs import Program, heliogram
from support.stack import BUNDLE, TEAM, Phone, Phones, simulator


@pytest.fixture(scope="module")
def apns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with simulator(tmp_path_factory.mktemp("apns")) as program:
        yield program


@pytest.fixture(scope="module")
def phones(apns: Program) -> Iterator[Phones]:
    made = Phones(apns)
    yield made
    made.close()


@pytest.fixture
def phone(phones: Phones) -> Phone:
    return phones.phone()


@pytest.fixture
def words(phones: Phones, apns: Program, tmp_path: Path) -> list[str]:
    """The options of a credential that works."""
    key = phones.key()
    file = tmp_path / f"AuthKey_{key['keyId']}.p8"
    file.write_text(key["p8"])
    place = ["--endpoint", apns.ready["production"], "--cacert", apns.ready["ca"]]
    return ["--key-file", str(file), "--key-id", key["keyId"], "--team-id", TEAM, "--topic", BUNDLE, *place]


def test_an_accepted_push_is_told_with_its_id_and_exit_code_0(words: list[str], phone: Phone) -> None:
    """Accepted by APNs; the phone shows what was said."""
    done = heliogram("send", *words, "--token", phone.launch(), "--title", "Hi", "--body", "There")
    assert done.returncode == 0, done.stderr
    (shown,) = phone.shown()
    assert done.stdout.strip() == f"accepted by APNs (apns-id {shown['apnsId']})"
    assert (shown["title"], shown["body"]) == ("Hi", "There")


def test_a_rejected_push_exits_1_with_reason_and_meaning(words: list[str], phone: Phone) -> None:
    """The reason is APNs' own word; beside it, what it means."""
    token = phone.launch()
    phone.uninstall()
    done = heliogram("send", *words, "--token", token, "--body", "There", "--json")
    assert done.returncode == 1
    outcome = json.loads(done.stdout)
    assert (outcome["outcome"], outcome["status"], outcome["reason"]) == ("Rejected", 410, "Unregistered")
    assert outcome["timestamp"] > 1_600_000_000_000
    told = heliogram("send", *words, "--token", token, "--body", "There")
    assert "410 Unregistered: the device token is no longer active" in told.stderr


def test_a_push_that_cannot_leave_exits_2(words: list[str]) -> None:
    """Nobody listens there: not sent, with the cause."""
    nowhere = [word if ":" not in word or "/" in word else "127.0.0.1:9" for word in words]
    done = heliogram("send", *nowhere, "--token", "ab" * 32, "--body", "There", "--timeout", "5")
    assert done.returncode == 2
    assert "not sent: " in done.stderr


def test_a_payload_from_standard_input_is_sent_untouched(words: list[str], phone: Phone) -> None:
    """`--payload -` takes the whole JSON."""
    raw = '{"aps": {"alert": "raw"}, "order": 4711}'
    done = heliogram("send", *words, "--token", phone.launch(), "--payload", "-", stdin=raw)
    assert done.returncode == 0, done.stderr
    assert phone.shown()[0]["payload"] == json.loads(raw)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--token", "xyz", "--body", "There"], "a device token is an even number of hex digits"),
        (["--token", "ab" * 32], "say what to send"),
        (["--token", "ab" * 32, "--payload", "-", "--title", "Hi"], "leave --title and --body away"),
        (["--token", "ab" * 32, "--payload", "/no/such/file"], "--payload: No such file"),
        (["--token", "ab" * 32, "--body", "x" * 5000], "the limit is 4096"),
        (["--token", "ab" * 32, "--body", "There", "--collapse-id", "x" * 65], "64 bytes"),
        (["--token", "ab" * 32, "--body", "There", "--endpoint", "::1"], "an IPv6 address in brackets"),
        (["--token", "ab" * 32, "--body", "There", "--cacert", __file__], "--cacert: not a PEM certificate"),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(words: list[str], more: list[str], message: str) -> None:
    """A usage error (2) that names what is wrong; never a traceback."""
    done = heliogram("send", *words, *more, stdin="{}")
    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_a_key_that_is_none_is_refused_without_quoting_it(words: list[str], tmp_path: Path) -> None:
    """The error names the key file's problem and shows nothing of its content."""
    file = tmp_path / "bad.p8"
    file.write_text("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n")
    done = heliogram("send", "--key-file", str(file), *words[2:], "--token", "ab" * 32, "--body", "There")
    assert done.returncode == 2
    assert "c2VjcmV0" not in done.stderr
    assert "Traceback" not in done.stderr
