"""What the pages on the command line and the Python client print is run, against a service and the simulator."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.remote import Remote, remote

HOWTOS = Path(__file__).parents[2] / "docs/howto"
ADDRESS = "http://127.0.0.1:8080"


def blocks(page: str, language: str) -> list[str]:
    """The blocks of one language on a page."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (HOWTOS / page).read_text("utf-8"), re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remote]:
    with remote(tmp_path_factory.mktemp("remote")) as made:
        made.credential("shop")
        for user in ("user-42", "user-43"):
            made.phone("shop", user)
        yield made


@pytest.mark.parametrize("program", blocks("python-client.md", "python"), ids=("sync", "async"))
def test_the_programs_of_the_page_on_the_client_run(there: Remote, program: str) -> None:
    """As printed, at another address."""
    env = {**os.environ, "HELIOGRAM_API_KEY": there.key}
    assert program.count(ADDRESS) == 1
    there.ok("push", "send", "--user", "user-42", "--app", "shop", "--body", "x", "--wait")
    command = [sys.executable, "-W", "error", "-c", program.replace(ADDRESS, there.url)]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert ("COMPLETED 1" in done.stdout) == ("operations.wait" in program)
    assert "comms_pushnotification_" in done.stdout or "404 20404" in done.stdout


@pytest.mark.timeout(400)
def test_the_commands_of_the_page_on_the_command_line_run(there: Remote, tmp_path: Path) -> None:
    """As printed, one after the other; only the address and the ids are others, and `tail` ends by itself."""
    key = there.phones.key()
    (tmp_path / "AuthKey_ABC123DEFG.p8").write_text(key["p8"])
    [table] = blocks("command-line.md", "csv")
    (tmp_path / "users.csv").write_text(table)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/heliogram").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m heliogram "$@"\n')
    (tmp_path / "bin/heliogram").chmod(0o755)
    env = {name: value for name, value in os.environ.items() if not name.startswith("HELIOGRAM_")}
    env |= {"XDG_CONFIG_HOME": str(tmp_path), "PATH": f"{tmp_path}/bin{os.pathsep}{os.environ['PATH']}"}
    done = dict[str, str]()
    for block in blocks("command-line.md", "sh"):
        script = block.replace(ADDRESS, there.url).replace("heliogram tail ", "heliogram tail --once ")
        for kind, words in (("comms_operation", "operations list"), ("comms_pushnotification", "push list")):
            if f"{kind}_01h9" in script:
                [*_, found] = re.findall(rf"{kind}_\w{{26}}", there.ok(*words.split()))
                script = script.replace(f"{kind}_01h9krwprkeee8fzqspvwy6nq8", found)
        ran = subprocess.run(
            ["bash", "-e", "-c", script], input=there.key + "\n", capture_output=True, text=True, env=env, cwd=tmp_path,
            timeout=300, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, f"{script}{ran.stdout}{ran.stderr}"
        done[block.split("\n", 1)[0]] = ran.stdout
    told = "".join(done.values())
    for words in ("kept the key", "1 accepted by APNs", "would send to 2 recipients", "accepted for 2 recipients"):
        assert words in told
    assert there.key.split(".")[1] not in told
