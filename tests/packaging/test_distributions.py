"""What is published: a wheel and an sdist that build clean, and work where nothing else is installed."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from support.peers import missing

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.timeout(400), pytest.mark.xdist_group("packaging")]

Install = Callable[[str], Path]


def run(*words: str | Path, cwd: Path | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Outside any environment but the one of the program itself."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_REQUIRE"))}
    done = subprocess.run(
        [str(word) for word in words], cwd=cwd, env=kept, capture_output=True, text=True, timeout=300, check=False
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheel, built from the sdist, and the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    said = run(sys.executable, "-W", "error", "-m", "build", "--no-isolation", "--outdir", folder, ROOT).stdout
    assert "warning" not in said.lower()
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, sdist


@pytest.fixture(scope="module")
def install(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Install:
    """Makes an environment that holds the wheel with these extras, at locked versions, and nothing else."""
    try:
        socket.getaddrinfo("pypi.org", 443)
    except OSError:
        if (
            "PIP_INDEX_URL" not in os.environ
            and not run("pip", "config", "get", "global.index-url", check=False).stdout
        ):
            missing("no package index can be reached: the wheel is not tried in an empty environment", in_ci_too=True)

    def make(extras: str) -> Path:
        folder = tmp_path_factory.mktemp("environment")
        venv.create(folder, with_pip=False)
        python = folder / "bin/python"
        locked = tmp_path_factory.mktemp("constraints") / "locked.txt"
        text = (ROOT / "requirements/dev.txt").read_text("utf-8")
        locked.write_text(re.sub(r"\s*\\\n\s+--hash=\S+", "", text), "utf-8")
        pip: list[str | Path] = [
            sys.executable,
            "-m",
            "pip",
            "--python",
            python,
            "--disable-pip-version-check",
            "--quiet",
            "install",
        ]
        run(*pip, "--constraint", locked, f"heliogram{extras} @ {built[0].as_uri()}")
        return python

    return make


def installed(python: Path) -> set[str]:
    """The names of the distributions there."""
    listed = "import importlib.metadata as m; print(*sorted(d.name.lower() for d in m.distributions()))"
    return set(run(python, "-c", listed).stdout.split())


def test_the_wheel_holds_what_runs_and_its_licences(built: tuple[Path, Path]) -> None:
    """Every file of the package but the built library, and nothing of the tests."""
    with zipfile.ZipFile(built[0]) as wheel:
        names = {name for name in wheel.namelist() if name.startswith("heliogram/")}
        rest = {name.split("/", 1)[1] for name in wheel.namelist() if not name.startswith("heliogram/")}
    tracked = run("git", "ls-files", "src/heliogram", cwd=ROOT).stdout.split()
    assert {name.removeprefix("src/") for name in tracked} - names == set()
    assert {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"} == rest


def test_the_sdist_holds_no_more_than_is_tracked(built: tuple[Path, Path]) -> None:
    """No file of an editor, a cache or a data directory gets out."""
    with tarfile.open(built[1]) as sdist:
        names = {member.name.split("/", 1)[1] for member in sdist if member.isfile()}
    untracked = run("git", "ls-files", "--others", "--exclude-standard", cwd=ROOT).stdout.split()
    tracked = run("git", "ls-files", cwd=ROOT).stdout.split()
    assert names - set(tracked) - set(untracked) == {"PKG-INFO"}


def test_the_base_needs_two_packages(install: Install) -> None:
    """Without extras there are the engine, the wire and the simulator's core; the command line says what it lacks."""
    python = install("")
    assert installed(python) - {"cffi", "pycparser"} == {"heliogram", "msgspec", "cryptography"}
    run(python, "-W", "error", "-c", "import heliogram.apns, heliogram.wire, heliogram.simulator")
    demo = run(python.with_name("heliogram"), "demo", check=False)
    assert demo.returncode == 2
    assert "pip install 'heliogram[server]'" in demo.stderr


def test_the_server_extra_demonstrates_itself(install: Install, tmp_path: Path) -> None:
    """`heliogram demo` goes the whole way from an installed wheel, in an empty folder."""
    python = install("[server]")
    shown = run(python.with_name("heliogram"), "demo", "--once", "--data", tmp_path / "data", cwd=tmp_path)
    assert "The phone shows it" in shown.stdout


@pytest.mark.parametrize(
    ("extras", "imports"),
    [
        ("[client]", "heliogram.client"),
        ("[prometheus]", "heliogram.apns.prometheus"),
        ("[cluster]", "heliogram.store.postgres, heliogram.queue.nats"),
        ("[liquid]", "liquid"),
        ("[otel]", "opentelemetry.sdk.trace, opentelemetry.exporter.otlp.proto.http"),
    ],
)
def test_each_extra_brings_what_it_is_for(install: Install, extras: str, imports: str) -> None:
    """An extra alone is enough for what it is called after."""
    run(install(extras), "-W", "error", "-c", f"import {imports}")
