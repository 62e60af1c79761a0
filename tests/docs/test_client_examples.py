"""The programs in the how-tos for tests are run as they are printed there, against the simulator.

Only the port in them is another. A language that is not on the machine is skipped with its cure (`support.peers`).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.peers import cache, missing, node_folder, node_variables
from support.pytest_runs import ROOT, Project

from heliogram.simulator.testing import ApnsDevice, ApnsSimulator

HOWTOS = ROOT / "docs/howto"
GO = ROOT / "bench/peers/go"
TOPIC = "com.example.app"


def blocks(page: str, language: str) -> list[str]:
    """The programs of one language on a page."""
    text = (HOWTOS / page).read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def server() -> Iterator[ApnsSimulator]:
    with ApnsSimulator() as server:
        yield server


class Place:
    """A folder as the how-to leaves it: the key, the CA, and the variables; the program is put beside them."""

    def __init__(self, folder: Path, apns: ApnsSimulator) -> None:
        self.folder = folder
        self.apns = apns
        self.phone: ApnsDevice = apns.add_device().install(TOPIC)
        key = apns.issue_key("DEF123GHIJ")
        (folder / "AuthKey.p8").write_text(key.p8)
        (folder / "data/simulator").mkdir(parents=True)
        (folder / "data/simulator/ca.pem").write_text(apns.ca_pem)
        self.variables = {"KEY_ID": key.key_id, "TEAM_ID": key.team_id, "TOKEN": self.phone.launch(TOPIC)}

    def put(self, name: str, program: str) -> None:
        host, port = self.apns.production.rsplit(":", 1)
        assert program.count("2197") == 1
        assert host in program
        (self.folder / name).write_text(program.replace("2197", port), "utf-8")

    def run(self, *words: str | Path, variables: dict[str, str] | None = None) -> str:
        """What the program printed."""
        environment = (os.environ if variables is None else variables) | self.variables
        words = tuple(map(str, words))
        done = subprocess.run(
            words, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=100, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def run_alive_and_dead(self, *words: str | Path, variables: dict[str, str] | None = None) -> tuple[str, str]:
        """What it printed of a push that arrived, and of one to an app that has gone."""
        alive = self.run(*words, variables=variables)
        assert [shown.body for shown in self.phone.notifications] == ["Hello"], [alive, *self.apns.report()]
        self.phone.uninstall(TOPIC)
        return alive, self.run(*words, variables=variables)


@pytest.fixture
def place(server: ApnsSimulator, tmp_path: Path) -> Place:
    server.reset()
    return Place(tmp_path, server)


def test_pytest_example(tmp_path: Path) -> None:
    """The test of the pytest how-to passes in a project that has nothing but it."""
    project = Project(tmp_path)
    (example,) = blocks("test-with-pytest.md", "python")
    project.write("test_example.py", example)
    run = project.pytest()
    assert run.counts == {"passed": 1}, run.output


@pytest.mark.parametrize(
    ("at", "expected"),
    [(0, ("1 []", "0 [ 'Unregistered' ]")), (1, ("sent", "410 Unregistered"))],
    ids=["node-apn", "apns2"],
)
def test_node_examples(place: Place, at: int, expected: tuple[str, str]) -> None:
    """The Node programs push, and print the reason of a rejection."""
    folder = node_folder()
    place.put("push.js", blocks("test-from-go-node-java.md", "js")[at])
    variables = node_variables(folder)
    assert place.run_alive_and_dead(folder / "node", "push.js", variables=variables) == expected


def test_go_example(place: Place) -> None:
    """The Go program, built with the modules of `bench/peers/go`, pushes, and prints the reason of a rejection."""
    go = shutil.which("go")
    if go is None:
        missing("no go here: install Go 1.21 or newer", in_ci_too=True)
    (program,) = blocks("test-from-go-node-java.md", "go")
    place.put("push.go", program)
    for name in ("go.mod", "go.sum"):
        shutil.copy(GO / name, place.folder)
    offline = os.environ | {"GOPROXY": "off", "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
    listed = subprocess.run([go, "list", "-deps", "."], cwd=place.folder, env=offline, capture_output=True, check=False)
    if listed.returncode != 0:
        missing("no Go modules here: cd bench/peers/go && go mod download", in_ci_too=True)
    place.run(go, "build", "-o", "push", ".", variables=offline)
    assert place.run_alive_and_dead(place.folder / "push") == ("200", "410 Unregistered")


def test_java_example(place: Place) -> None:
    """The Java program, run from its source with Pushy's jars, pushes, and prints the reason of a rejection."""
    java, jars = shutil.which("java"), cache() / "pushy" / "lib"
    if java is None or not jars.is_dir():
        cure = "install a JDK and Maven, then .venv/bin/python bench/peers/build.py ~/.cache/heliogram/peers pushy"
        missing(f"no Java with Pushy here: {cure}", in_ci_too=True)
    (program,) = blocks("test-from-go-node-java.md", "java")
    place.put("Push.java", program)
    words = (java, "-cp", f"{jars}/*", "Push.java")
    assert place.run_alive_and_dead(*words) == ("true", "false Unregistered")
