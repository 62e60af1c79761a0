"""`heliogram login` on a terminal: what it asks for, and that nothing typed is shown."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

import pytest
from support.programs import HELIOGRAM
from support.remote import remote
from support.waiting import HANG_SECONDS

from heliogram.cli.profiles import Profiles

pytestmark = pytest.mark.timeout(2 * HANG_SECONDS)


def typed(answers: list[str], url: str, home: Path) -> tuple[str, str]:
    """What `login` says to somebody who types this, each after its question; and what the terminal showed of it."""
    main, other = pty.openpty()
    env = {name: value for name, value in os.environ.items() if not name.startswith("HELIOGRAM_")}
    env["XDG_CONFIG_HOME"] = str(home)
    said = ""
    command = [*HELIOGRAM, "login", "--url", url]
    # In a session without a terminal of its own it asks on standard input and standard error.
    with subprocess.Popen(
        command, stdin=other, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, start_new_session=True
    ) as child:
        assert child.stderr is not None
        for answer in answers:
            question = b""
            while not question.endswith(b": "):  # the echo is off by then
                each = child.stderr.read(1)
                assert each, question
                question += each
            os.write(main, answer.encode() + b"\n")
            said += question.decode()
        said += "".join(part.decode() for part in child.communicate(timeout=HANG_SECONDS))
        assert child.returncode == 0, said
    os.set_blocking(main, False)
    os.write(other, b".")
    shown = os.read(main, 65536).decode()
    os.close(main)
    os.close(other)
    return said, shown


def test_a_key_is_given_in_one_piece_or_in_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its id and then its secret, as `api-keys create` shows them, or both with a full stop; none of it is shown."""
    with remote(tmp_path) as there:
        key_id, secret = there.key.split(".")
        for at, answers in enumerate(([there.key], [key_id, secret])):
            home = tmp_path / str(at)
            said, shown = typed(answers, there.url, home)
            assert f"kept the key {key_id}" in said
            assert ("its secret: " in said) == (len(answers) == 2)
            assert secret not in said + shown
            monkeypatch.setenv("XDG_CONFIG_HOME", str(home))
            kept = Profiles.read().profiles["default"]
            assert (kept.url, kept.api_key) == (there.url, there.key)
