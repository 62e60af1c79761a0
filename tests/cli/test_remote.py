"""Commands of a running service, as a person runs them, against the service and the simulator."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import stat
import subprocess
import sys
import termios
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.programs import HELIOGRAM
from support.remote import Remote, remote
from support.stack import BUNDLE, TEAM
from support.waiting import eventually

from heliogram.cli.profiles import Profile, Profiles
from heliogram.cli.remote import Link, words
from heliogram.client import FieldError, HeliogramError, Recipient

NOWHERE = "comms_pushnotification_01h9krwprkeee8fzqspvwy6nq8"


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    with remote(tmp_path_factory.mktemp("remote")) as made:
        made.credential("shop")
        yield made


def said(text: str) -> str:
    """The words, however they were broken into lines."""
    return " ".join(text.split())


def test_a_push_is_sent_waited_for_and_explained(there: Remote) -> None:
    """From `push send --wait` to the phone; then the list and the story of it."""
    phone, token = there.phone("shop", "ann")
    words = ["push", "send", "--user", "ann", "--app", "shop", "--title", "Hi {{ name }}", "--body", "There"]
    done = there.run(
        *words, "--var", "name=Ann", "--badge", "3", "--data", '{"x": 1}', "--tag", "campaign=spring", "--wait"
    )
    assert done.exit_code == 0, done.output
    assert done.stdout == "1 accepted by APNs\n"
    (shown,) = phone.shown()
    assert (shown["title"], shown["body"], shown["payload"]["x"]) == ("Hi Ann", "There", 1)
    [listed] = there.json("push", "list", "--user", "ann")
    assert listed["status"] == "SENT"
    [operation] = there.json("operations", "list", "--tag", "campaign=spring")
    assert operation["id"] == listed["operationId"]
    story = there.ok("explain", listed["id"])
    assert "accepted by the service, and on disk" in story
    assert f"APNs accepted it for device {token[:6]}…{token[-6:]} (production)" in story
    assert "not delivered" in story


def test_a_refusal_is_told_with_reason_rule_and_cure(there: Remote) -> None:
    """Exit code 1; the same three in `push send --wait`, `operations errors` and `explain`."""
    done = there.run("push", "send", "--token", "ab" * 32, "--app", "shop", "--body", "There", "--wait")
    assert done.exit_code == 1
    assert done.stdout.startswith("1 failed\n")
    assert "BadDeviceToken: 1 notification (LIFE-4 in docs/reference/apns-rules.md)" in done.stdout
    [listed] = there.json("push", "list", "--status", "failed")
    for told in (there.ok("explain", listed["id"]), there.ok("operations", "errors", listed["operationId"])):
        assert "BadDeviceToken" in told
        assert "LIFE-4" in told
        assert "register it with its `environment`" in said(told)


def test_tail_shows_outcomes_and_filters_them(there: Remote) -> None:
    """Lines for people, or JSON lines; only failures, reasons or operations when asked for."""
    _, token = there.phone("shop", "tom")
    there.ok("push", "send", "--token", token, "--app", "shop", "--body", "x", "--wait")
    assert there.run("push", "send", "--token", "ac" * 32, "--app", "shop", "--body", "x", "--wait").exit_code == 1

    def told() -> list[dict[str, Any]] | None:
        """They are told just after they are on disk: a moment later than an operation has ended."""
        lines = [json.loads(line) for line in there.ok("tail", "--once", "--last", "1000", "--json").splitlines()]
        return lines if {"acac", token[:4]} <= {line["token"][:4] for line in lines} else None

    lines = eventually(told, what="both outcomes", seconds=60)
    last = next(line for line in lines if line["token"].startswith("acac"))
    assert {"sent", "failed"} <= {line["outcome"] for line in lines}
    failed = there.ok("tail", "--once", "--failed", "--operation", last["operationId"])
    assert "400 BadDeviceToken" in failed
    assert len(failed.splitlines()) == 1
    assert there.ok("tail", "--once", "--reason", "Unregistered") == ""
    assert there.ok("tail", "--once", "--last", "0") == ""


def test_credentials_are_uploaded_checked_rotated_and_ended(there: Remote, tmp_path: Path) -> None:
    """The whole life of one; the key id is read from Apple's file name, and nothing secret is printed."""
    key = there.phones.key()
    file = tmp_path / f"AuthKey_{key['keyId']}.p8"
    file.write_text(key["p8"])
    words = ["--key-file", str(file), "--team-id", TEAM, "--bundle-id", BUNDLE]
    made = there.ok("credentials", "upload", "--app", "fresh", *words)
    ident = re.search(r"comms_credential_\w+", made)
    assert ident is not None
    shown = there.ok("credentials", "get", ident[0])
    assert key["keyId"] in shown
    assert "PRIVATE" not in shown
    assert there.ok("credentials", "check", ident[0]).startswith("good (production)")
    assert "last check" in there.ok("credentials", "get", ident[0])
    assert there.json("credentials", "list", "--app", "fresh")[0]["id"] == ident[0]
    assert there.ok("credentials", "rotate", ident[0], *words) == f"rotated {ident[0]}\n"
    assert "connects anew" in there.ok("credentials", "reconnect", ident[0])
    assert "default now" in there.ok("credentials", "make-default", ident[0])
    assert "revoked" in there.ok("credentials", "revoke", ident[0], "--yes")
    assert "revoked 20" in there.ok("credentials", "list", "--app", "fresh")
    assert there.run("credentials", "delete", ident[0], input="n\n").exit_code == 1
    assert "deleted" in there.ok("credentials", "delete", ident[0], "--yes")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give one of --key-file"),
        (["--key-file", "plain.p8"], "--key-id is missing"),
        (["--key-file", "plain.p8", "--key-id", "A"], "--team-id is missing"),
        (["--key-file", "plain.p8", "--key-id", "A", "--team-id", "B"], "--bundle-id is missing"),
        (["--certificate", "binary.p12"], "this is no PEM text"),
    ],
)
def test_a_credential_that_lacks_something_names_it(
    there: Remote, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    """A usage error before anything is asked."""
    monkeypatch.chdir(tmp_path)
    Path("plain.p8").write_text("key")
    Path("binary.p12").write_bytes(b"\xff\xfe")
    done = there.run("credentials", "upload", *words)
    assert done.exit_code == 2
    assert message in said(done.stderr)


def test_users_and_devices_are_found_changed_and_removed(there: Remote) -> None:
    """By id, by your own name, by token."""
    token = "cd" * 32
    made = there.ok("devices", "register", token, "--app", "shop", "--user", "eve", "--environment", "sandbox")
    registration = made.split()[-1]
    for how in (("--user", "eve"), ("--token", token)):
        found = there.ok("devices", "list", *how)
        assert registration in found
        assert "sandbox" in found
    user = there.json("users", "get", "eve")["id"]
    assert user in there.ok("devices", "list", "--user", user)
    assert "eve is eva now" in there.ok("users", "update", "eve", "--external-id", "eva")
    assert user in there.ok("users", "list")
    assert there.ok("devices", "remove", registration, token) == "removed\n"
    done = there.run("devices", "list", "--user", "eva")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "There is no such device" in done.stderr
    there.ok("users", "update", user, "--no-external-id")
    assert "deleted" in there.ok("users", "delete", user, "--yes")
    assert there.run("devices", "list", "--user", "a", "--token", "b").exit_code == 2
    assert there.run("devices", "list").exit_code == 2
    assert there.run("users", "update", user).exit_code == 2


def test_what_happened_to_a_phone_is_told_when_it_is_gone(there: Remote) -> None:
    """By user and by token, in words: what APNs said, since when, and when the app had registered it (ERR-1)."""
    phone, token = there.phone("shop", "gus")
    registered = there.ok("devices", "history", "gus")
    assert "Registered" in registered
    assert f"{token[:4]}…{token[-4:]}" in registered
    phone.uninstall()
    there.run("push", "send", "--user", "gus", "--app", "shop", "--body", "Anybody?", "--wait")
    for how in (("gus",), ("--token", token), (there.json("users", "get", "gus")["id"], "--app", "shop")):
        told = there.ok("devices", "history", *how)
        assert re.search(r"Removed .* alert  shop", told)
        assert re.search(r"APNs answered 410 Unregistered, not valid since 2[0-9 :-]+Z", told)
        assert "The app had registered it" in told
        assert token not in told
    [entry] = there.json("devices", "history", "gus")
    assert (entry["event"], entry["status"], entry["reason"]) == ("REMOVED", 410, "Unregistered")
    done = there.run("devices", "history", "nobody")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "Nothing is known to have happened" in done.stderr
    assert there.run("devices", "history").exit_code == 2
    assert there.run("devices", "history", "gus", "--token", token).exit_code == 2


def test_apps_channels_and_webhooks(there: Remote) -> None:
    """Listed, shown, made and deleted."""
    assert "shop" in there.ok("apps", "list")
    assert "the default app now" in there.ok("apps", "make-default", "shop")
    assert there.json("apps", "get", "shop")["isDefault"]
    channel = there.ok("channels", "create", "shop", "--store").split()[-1]
    assert channel in there.ok("channels", "list", "shop")
    assert "MOST_RECENT_MESSAGE_STORED" in there.ok("channels", "get", "shop", channel)
    update = '{"liveActivity": {"event": "update", "contentState": {"home": 1}}}'
    assert '"home": 1' in there.ok("channels", "broadcast", "shop", channel, "--content", update, "--dry-run")
    assert "accepted as" in there.ok("channels", "broadcast", "shop", channel, "--content", update)
    there.ok("channels", "delete", "shop", channel, "--yes")
    made = there.run("webhooks", "create", "https://example.com/hook", "--type", "notification.*")
    assert "The secret is shown this once" in made.stderr
    ident, secret = re.findall(r"(?:webhook|secret) +(\S+)", made.stdout)
    assert secret not in there.ok("webhooks", "get", ident)
    assert "changed" in there.ok("webhooks", "update", ident, "--to", "https://example.com/other", "--type", "device.*")
    changed = there.json("webhooks", "get", ident)
    assert (changed["url"], changed["types"]) == ("https://example.com/other", ["device.*"])
    assert there.run("webhooks", "update", ident).exit_code == 2
    assert "is paused" in there.ok("webhooks", "pause", ident)
    assert "paused" in there.ok("webhooks", "list")
    assert "is active" in there.ok("webhooks", "resume", ident)
    assert "secret" in there.ok("webhooks", "rotate-secret", ident)
    assert there.ok("webhooks", "redeliver", ident) == "0 of them will be sent again\n"
    assert there.run("webhooks", "dead-letters", ident).stderr == "Nothing was given up.\n"
    assert "deleted" in there.ok("webhooks", "delete", ident, "--yes")


def test_what_is_scheduled_is_shown_and_canceled(there: Remote) -> None:
    """A whole send, or one notification of it."""
    later = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    words = ["push", "send", "--token", "ab" * 32, "--app", "shop", "--body", "x", "--send-at", later]
    first = there.json(*words, "--idempotency-key", "one")
    assert there.json(*words, "--idempotency-key", "one") == first
    assert "SCHEDULED" in there.ok("operations", "get", first["operationId"])
    timed_out = there.run("operations", "watch", first["operationId"], "--timeout", "0")
    assert timed_out.exit_code == 1
    assert f"it goes on: heliogram operations watch {first['operationId']}" in said(timed_out.stderr)
    [one] = there.json("push", "list", "--operation", first["operationId"])
    assert f"heliogram push cancel {one['id']}" in there.ok("explain", one["id"])
    there.ok("push", "cancel", one["id"])
    assert "CANCELED" in there.ok("explain", one["id"])
    second = there.json(*words)["operationId"]
    assert "canceled" in there.ok("operations", "cancel", second)
    assert there.run("operations", "watch", second, "--json").exit_code == 1


def test_a_dry_run_shows_the_payload_and_sends_nothing(there: Remote) -> None:
    """What would be sent, as APNs would get it."""
    before = len(there.json("operations", "list", "--limit", "0"))
    told = there.ok(
        "push", "send", "--token", "ab" * 32, "--app", "shop", "--body", "Hi {{ n }}", "--var", "n=Ann", "--dry-run"
    )
    assert "would be sent to" in told
    assert '"body": "Hi Ann"' in told
    assert len(there.json("operations", "list", "--limit", "0")) == before


def test_json_is_what_the_api_answers(there: Remote) -> None:
    """Not what the client makes of it."""
    answer = there.back_end.call("GET", "/v1/PushNotifications/Apps/shop")
    assert there.json("apps", "get", "shop") == answer


def test_lists_end_at_the_limit_and_say_so(there: Remote) -> None:
    """100 by default; 0 is all."""
    for number in range(3):
        there.client.registrations.create("shop", f"e{number}" * 32, external_id=f"limit-{number}")
    done = there.run("users", "list", "--limit", "2", "--json")
    assert len(json.loads(done.stdout)) == 2
    assert "These are the first 2" in done.stderr
    assert "first" not in there.run("users", "list", "--limit", "0").stderr


@pytest.mark.parametrize(
    ("words", "env", "code", "message"),
    [
        (["apps", "get", "nothing"], {}, 1, "App 'nothing' does not exist"),
        (["explain", NOWHERE], {}, 1, "does not exist"),
        (["apps", "list"], {"HELIOGRAM_URL": "http://127.0.0.1:1"}, 1, "Does `heliogram serve` run there? --url"),
        (["apps", "list"], {"HELIOGRAM_API_KEY": "key_x.wrong"}, 1, "does not take the API key key_x:"),
        (["apps", "list"], {"HELIOGRAM_API_KEY": "nonsense"}, 2, "--api-key: expected the key's id and its secret"),
        (["apps", "list"], {"HELIOGRAM_API_KEY": ""}, 2, "no API key: give it in HELIOGRAM_API_KEY"),
        (["apps", "list", "--url", "ftp://h"], {}, 2, "--url: expected http"),
        (["apps", "list", "--profile", "nix"], {"HELIOGRAM_API_KEY": "", "HELIOGRAM_URL": ""}, 2, "no profile 'nix'"),
        (["push", "send", "--token", "xyz", "--body", "x"], {}, 1, "--token: Expected hexadecimal digits"),
        (["push", "send", "--user", "ghost", "--body", "x"], {}, 1, "--user: There is no user"),
        (
            ["push", "send", "--user", "ann", "--user", "ghost", "--body", "x"],
            {},
            1,
            "to[1].externalId: There is no user",
        ),
        (["push", "send", "--user", "ann", "--content", '{"pushType": "x"}'], {}, 1, "content.pushType: Invalid"),
        (["push", "send", "--user", "ann", "--body", "{{ nme }}"], {}, 2, "there is no --var nme=…"),
        (["push", "send", "--body", "x"], {}, 2, "say to whom"),
        (["push", "send", "--user", "ann"], {}, 2, "say what to send"),
        (["push", "send", "--user", "ann", "--body", "x", "--var", "n"], {}, 2, "--var: expected NAME=VALUE"),
        (["push", "send", "--user", "ann", "--body", "x", "--tag", "n"], {}, 2, "--tag: expected KEY=VALUE"),
        (["push", "send", "--user", "ann", "--body", "x", "--data", "[1]"], {}, 2, "--data: expected a JSON object"),
        (["push", "send", "--user", "ann", "--body", "x", "--content", "{}"], {}, 2, "--content is the whole content"),
        (["push", "send", "--user", "ann", "--content", '{"bodi": "x"}'], {}, 2, "'bodi' is no field"),
        (["push", "send", "--user", "ann", "--content", '{"sound": {"nam": "x"}}'], {}, 2, "'sound.nam' is no field"),
        (["push", "send", "--user", "ann", "--content", "@/no/such"], {}, 2, "--content: No such file"),
        (["push", "send", "--user", "ann", "--body", "x", "--app", "nix"], {}, 1, "--app: There is no app 'nix'"),
        (["operations", "get", "x/../y"], {}, 1, "There is nothing at"),
        (["operations", "get", ".."], {}, 2, "operationId: expected an id"),
    ],
)
def test_what_goes_wrong_is_told_as_to_a_stranger(
    there: Remote, words: list[str], env: dict[str, str], code: int, message: str
) -> None:
    """One line with the field and the cure; 1 when the service says so, 2 when the command is wrong; no secret."""
    done = there.run(*words, env=env)
    assert done.exit_code == code, done.output
    assert message in said(done.stderr)
    assert "Traceback" not in done.output
    assert there.key.split(".")[1] not in done.output
    assert "wrong." not in done.stderr


def test_a_key_without_the_scope_is_told_what_it_lacks(there: Remote) -> None:
    """Which scope, of which key, and how to make one that has it."""
    made = there.back_end.call("POST", "/v1/ApiKeys", {"scopes": ["read"]})
    done = there.run(
        "push", "send", "--user", "ann", "--body", "x", env={"HELIOGRAM_API_KEY": f"{made['id']}.{made['secret']}"}
    )
    assert done.exit_code == 1
    assert "send" in done.stderr
    assert made["id"] in done.stderr
    assert "heliogram api-keys create --scope" in done.stderr


def test_login_keeps_a_key_that_works_for_the_owner_alone(there: Remote, tmp_path: Path) -> None:
    """Mode 0600, never echoed; the other commands use it; logout forgets it."""
    env = {"HELIOGRAM_URL": "", "HELIOGRAM_API_KEY": "", "XDG_CONFIG_HOME": str(tmp_path)}
    file = tmp_path / "heliogram" / "config.toml"
    refused = there.run("login", "--url", there.url, input="key_x.wrong\n", env=env)
    assert refused.exit_code == 1
    assert not file.exists()
    done = there.run("login", "--url", there.url, input=there.key + "\n", env=env)
    assert done.exit_code == 0, done.output
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert there.key not in done.output
    there.run("login", "--url", there.url, "--profile", "staging", input=there.key + "\n", env=env)
    assert "shop" in there.run("apps", "list", env=env).stdout
    assert "shop" in there.run("apps", "list", "--profile", "default", env=env).stdout
    variables = {"HELIOGRAM_URL": "http://127.0.0.1:1", "HELIOGRAM_API_KEY": "key_x.wrong"}
    assert "shop" in there.run("apps", "list", "--profile", "staging", env={**env, **variables}).stdout
    other = there.run("apps", "list", "--url", "http://127.0.0.1:1", env=env)
    assert f"the key of profile 'staging' is for {there.url}" in said(other.stderr)
    file.chmod(0o644)
    assert "others can read" in there.run("apps", "list", env=env).stderr
    assert "forgot profile 'staging'" in there.run("logout", env=env).stdout
    assert "forgot profile 'default'" in there.run("logout", env=env).stdout
    assert there.run("apps", "list", env=env).exit_code == 2
    file.write_text("[profiles]\nx = 3\n")
    broken = there.run("apps", "list", env=env)
    assert broken.exit_code == 1
    assert "is not as `heliogram login` writes it" in said(broken.stderr)


def test_several_recipients_are_told_together(there: Remote) -> None:
    """Counted by what became of them."""
    _, token = there.phone("shop", "two")
    there.client.registrations.create("shop", "f0" * 32, external_id="gone")
    words = ["push", "send", "--user", "two", "--token", token, "--token", "ad" * 32, "--app", "shop", "--body", "x"]
    done = there.run(*words, "--wait")
    assert done.stdout.startswith("2 accepted by APNs, 1 failed\n")
    accepted = there.client.notifications.send(Recipient.for_token(token), "x", app="shop")
    assert there.ok("operations", "watch", accepted.operation_id) == "1 accepted by APNs\n"


def test_tail_follows_until_it_is_interrupted_and_ends_well(there: Remote) -> None:
    """Ctrl-C is how one leaves it: exit code 0. Outcomes come as they happen."""
    _, token = there.phone("shop", "live")
    env = {**os.environ, "HELIOGRAM_URL": there.url, "HELIOGRAM_API_KEY": there.key}
    command = [*HELIOGRAM, "tail", "--last", "0", "--json"]
    # in a session of its own, as a terminal gives a command one
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env, start_new_session=True) as child:
        assert child.stdout is not None
        told = child.stdout

        def hears() -> bool:
            """Sends until one is told: the first may be over before `tail` listens."""
            there.ok("push", "send", "--token", token, "--app", "shop", "--body", "x", "--wait")
            readable, _, _ = select.select([told], [], [], 0.5)
            return bool(readable)

        eventually(hears, what="an outcome", seconds=60)
        first = json.loads(told.readline())
        child.send_signal(signal.SIGINT)
        told.read()
        assert child.wait(120) == 0
    assert first["outcome"] == "sent"


def test_tables_fit_a_terminal_of_80_columns_and_lose_nothing() -> None:
    """An id stays in one piece while the rest has room; in a pipe each row is one line without colours."""
    ident = "comms_operation_" + "0" * 26
    rows = [(ident, "x" * 30, "[red]")] * 2
    code = f"from heliogram.cli.showing import table; table(('a', 'b', 'c'), {rows!r}, empty='')"
    main, other = pty.openpty()
    termios.tcsetwinsize(other, (24, 80))
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    done = subprocess.run([sys.executable, "-c", code], stdout=other, env=env, timeout=120, check=True)
    os.close(other)
    text = re.sub(r"\x1b\[[0-9;]*m", "", os.read(main, 65536).decode())
    os.close(main)
    assert done.returncode == 0
    assert max(map(len, text.splitlines())) <= 80
    assert text.count(ident) == 2
    assert "[red]" in text
    piped = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True).stdout
    assert [line.split() for line in piped.splitlines()] == [["A", "B", "C"], *[[ident, "x" * 30, "[red]"]] * 2]


def test_the_first_help_imports_no_client_and_no_server() -> None:
    """It is the command that people run first, and complete from."""
    code = "import sys; from heliogram.cli.root import cli; cli(['--help'], standalone_mode=False); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert not {*done.stdout.split()} & {
        "httpx2",
        "starlette",
        "apsw",
        "rich.table",
        "cryptography",
        "heliogram.settings",
    }


def test_what_a_service_says_gives_no_orders_to_the_terminal() -> None:
    """Whoever answers may be anybody: words of an error are told without control characters, each on its line."""
    link = Link("http://127.0.0.1:1", "key_a.b", as_json=False)
    errors = [FieldError(code=1, message=text, detail="", context=f"$.{text}") for text in ("no\x1b[31m\x9b", "b")]
    for error in (
        HeliogramError(404, 1, "t\x1b]0;", "d\x07\x1b[2J", errors),
        HeliogramError(403, 1, "t", "d\x1b[2J"),
        HeliogramError(500, 1, "t\x1b]0;", "d\x07"),
    ):
        assert [line for line in words(error, link).splitlines() if not line.isprintable()] == []
    assert len(words(HeliogramError(400, 1, "t", "d", errors), link).splitlines()) == 2


def test_profiles_that_were_written_by_hand_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever TOML takes for a name: the next login must not make the file unreadable, with all keys in it."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    file = tmp_path / "heliogram" / "config.toml"
    file.parent.mkdir()
    file.write_text('default = "\U0001f680"\n[profiles."prod.\\"eu"]\nurl = "http://a"\napi_key = "key_a.b"\n')
    file.chmod(0o600)
    known = Profiles.read()
    known.profiles["\U0001f680"] = Profile("http://b", "key_b.c")
    known.write()
    again = Profiles.read()
    assert (again.default, again.profiles) == (known.default, known.profiles)
    assert [*again.profiles] == ['prod."eu', "\U0001f680"]


def test_login_warns_of_a_key_in_the_clear(there: Remote, tmp_path: Path) -> None:
    """Where plain HTTP leaves this machine; nothing is said of loopback, nor of TLS."""
    env = {"HELIOGRAM_URL": "", "HELIOGRAM_API_KEY": "", "XDG_CONFIG_HOME": str(tmp_path)}
    for url, is_open in (("http://192.0.2.1:1x", True), ("https://192.0.2.1:1x", False), ("http://[::1]:1", False)):
        done = there.run("login", "--url", url, input="key_x.wrong\n", env=env)
        assert ("everybody on the way" in done.stderr) is is_open, done.stderr
