"""`heliogram send` against the simulator, as a person runs it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.programs import Program, heliogram
from support.stack import BUNDLE, TEAM, Phone, Phones, simulator

from heliogram.cli.root import cli


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
        (["--token", "ab" * 32, "--body", "There", "--cacert", __file__], "holds no certificate in PEM"),
        (["--body", "There"], "say to whom: --token, or --token-file FILE"),
        (["--token-file", "/no/such/file", "--body", "There"], "--token-file: No such file"),
        (["--token-file", "/dev/null", "--body", "There"], "--token-file: no device token in /dev/null"),
        (["--token-file", "-", "--payload", "-"], "cannot both come from standard input"),
        (["--token", "ab" * 32, "--payload", "@/no/such/file"], "--payload: No such file or directory: /no/such/file"),
        (["--token", "ab" * 32, "--body", "There", "--port", "2197"], "port: given together with endpoint"),
        (["--token", "ab" * 32, "--body", "There", "--port", "80"], "is not one of '443', '2197'"),
        (["--token", "ab" * 32, "--body", "There", "--proxy", "ftp://proxy:21"], "the scheme 'ftp' is not supported"),
        (["--token", "ab" * 32, "--body", "There", "--push-type", "nonsense"], "push_type: 'nonsense' is unknown"),
        (["--token", "ab" * 32, "--body", "There", "--key-topics", "com.example.app"], "environment: missing"),
        (["--token", "ab" * 32, "--body", "There", "--key-environment", "sandbox"], "the key is for sandbox, not for"),
        (
            ["--token-file", "-", "--body", "x", "--key-environment", "production", "--key-topics", "com.example.b"],
            "com.example.app is not among those of the key",
        ),
        (["--token", "ab" * 32, "--body", "There", "--pkcs12", __file__], "give one credential"),
        (["--token", "ab" * 32, "--body", "There", "--password-file", __file__], "belongs to --pkcs12"),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(words: list[str], more: list[str], message: str) -> None:
    """A usage error (2) that names what is wrong; never a traceback."""
    done = CliRunner().invoke(cli, ["send", *words, *more], input="{}")
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.split())
    assert isinstance(done.exception, SystemExit)


def test_what_a_signing_key_needs(words: list[str], tmp_path: Path) -> None:
    """Key id and team id are asked for by name; a file named as Apple names it tells its key id."""
    rest = ["--topic", BUNDLE, *words[8:], "--token", "ab" * 32, "--body", "There"]
    plain = tmp_path / "key.p8"
    plain.write_bytes(Path(words[1]).read_bytes())
    for given, message in (
        (["--key-file", str(plain), "--team-id", TEAM], "--key-id is missing"),
        (["--key-file", words[1]], "--team-id is missing"),
        ([], "give one credential"),
        (words[:6], "--topic is missing"),
    ):
        done = CliRunner().invoke(cli, ["send", *given, *(rest if given != words[:6] else rest[2:])])
        assert (done.exit_code, message in " ".join(done.stderr.split())) == (2, True), done.stderr
    named = CliRunner().invoke(cli, ["send", *words[:2], *words[4:6], *rest])
    assert "BadDeviceToken" in named.stderr


def test_tokens_of_a_file(words: list[str], phones: Phones, tmp_path: Path) -> None:
    """One on a line, with comments and blank lines; each outcome is a line of JSON that names its token."""
    several = [phones.phone() for _ in range(3)]
    tokens = [one.launch() for one in several]
    several[1].uninstall()
    file = tmp_path / "tokens.txt"
    file.write_text(f"# our phones\n{tokens[0]}\n\n{tokens[1]}  # the old one\nnonsense\n")
    done = heliogram("send", *words, "--token", tokens[2], "--token-file", str(file), "--title", "Hi", "--json")
    assert done.returncode == 2, "the worst of them: one was not sent"
    outcomes = {one["deviceToken"]: one for one in map(json.loads, done.stdout.splitlines())}
    assert {token: one["outcome"] for token, one in outcomes.items()} == {
        tokens[0]: "Accepted",
        tokens[1]: "Rejected",
        tokens[2]: "Accepted",
        "nonsense": "NotSent",
    }
    assert done.stderr == ""
    assert [len(one.shown()) for one in (several[0], several[2])] == [1, 1]


def test_tokens_from_standard_input(words: list[str], phones: Phones) -> None:
    """For people: a line for each, and a summary; rejected is the worst here, so exit code 1."""
    tokens = [phones.phone().launch(), "ab" * 32]
    done = heliogram("send", *words, "--token-file", "-", "--title", "Hi", stdin="\n".join(tokens))
    assert done.returncode == 1
    assert done.stdout.startswith(f"{tokens[0]}: accepted by APNs")
    assert f"{tokens[1]}: rejected: 400 BadDeviceToken" in done.stderr
    assert sorted(done.stderr.splitlines()[-1].split(", ")) == ["1 accepted", "1 rejected"]


def test_all_headers(words: list[str], phone: Phone, tmp_path: Path) -> None:
    """Push type, priority, collapse id and expiration are sent as given, with a payload from `@FILE`."""
    file = tmp_path / "silent.json"
    file.write_text('{"aps": {"content-available": 1}}')
    more = ["--push-type", "background", "--priority", "5", "--collapse-id", "score", "--expiration", "0"]
    done = heliogram("send", *words, "--token", phone.launch(), "--payload", f"@{file}", *more)
    assert done.returncode == 0, done.stderr
    (shown,) = phone.shown()
    assert (shown["pushType"], shown["priority"], shown["collapseId"]) == ("background", 5, "score")


def test_a_key_that_is_none_is_refused_without_quoting_it(words: list[str], tmp_path: Path) -> None:
    """The error names the key file's problem and shows nothing of its content."""
    file = tmp_path / "bad.p8"
    file.write_text("-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n")
    done = heliogram("send", "--key-file", str(file), *words[2:], "--token", "ab" * 32, "--body", "There")
    assert done.returncode == 2
    assert "c2VjcmV0" not in done.stderr
    assert "Traceback" not in done.stderr
