"""The files to deploy by: what they run is there, with the options that they give."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from heliogram.cli.root import cli

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
KUBERNETES = yaml.safe_load((DEPLOY / "kubernetes" / "heliogram.yaml").read_text())["items"]
CONTAINERFILES = sorted(DEPLOY.rglob("Containerfile"))
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))


def commands() -> Iterator[Any]:
    """What each file runs, without the program's name."""
    for name, service in COMPOSE["services"].items():
        if service["image"] == "heliogram":
            yield pytest.param(service["command"], id=f"compose {name}")
    for document in KUBERNETES:
        if document["kind"] == "Deployment":
            for container in document["spec"]["template"]["spec"]["containers"]:
                yield pytest.param(container["args"], id=f"kubernetes {document['metadata']['name']}")
    for unit in UNITS:
        (line,) = re.findall(r"^ExecStart=/opt/heliogram/bin/heliogram (.*)$", unit.read_text(), re.MULTILINE)
        for role in ("api", "worker", "dispatcher", "all"):
            yield pytest.param(shlex.split(line.replace("%i", role)), id=f"{unit.name} {role}")
    (line,) = re.findall(r"^CMD (\[.*\])$", (DEPLOY / "Containerfile").read_text(), re.MULTILINE)
    yield pytest.param(yaml.safe_load(line), id="Containerfile")


def context_of(arguments: list[str], files: Path) -> click.Context:
    """The command that would run, its options parsed. Files that only a container has are made in `files`."""
    words = []
    for word in map(str, arguments):
        if word.endswith(".pem"):
            (files / Path(word).name).touch()
            word = str(files / Path(word).name)
        words.append(word)
    return cli.commands[words[0]].make_context(words[0], words[1:])


@pytest.mark.parametrize("arguments", list(commands()))
def test_what_is_run_is_a_command_with_options_that_it_has(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that was changed is found here, not at an installation."""
    monkeypatch.chdir(tmp_path)
    with context_of(arguments, tmp_path) as context:
        assert context.command.name in ("serve", "simulator")


def test_the_environment_is_what_the_service_reads() -> None:
    """Every variable of ours that a file sets is one that an option or the master key is read from."""
    serve = cli.commands["serve"]
    known = {"HELIOGRAM_MASTER_KEY"}
    known |= {str(option.envvar) for option in serve.params if isinstance(option, click.Option) and option.envvar}
    texts = [path.read_text() for path in DEPLOY.rglob("*") if path.is_file()]
    used = {name for text in texts for name in re.findall(r"\bHELIOGRAM_[A-Z_]+", text)}
    assert used <= known


def test_nothing_runs_as_root_or_may_write_to_its_own_files() -> None:
    """In containers and under systemd alike."""
    for name, service in COMPOSE["services"].items():
        if "command" in service and service["image"] == "heliogram":
            assert service["read_only"], name
            assert service["cap_drop"] == ["ALL"], name
    for document in KUBERNETES:
        if document["kind"] == "Deployment":
            pod = document["spec"]["template"]["spec"]
            assert pod["securityContext"]["runAsNonRoot"]
            assert all(container["securityContext"]["readOnlyRootFilesystem"] for container in pod["containers"])
    for unit in UNITS:
        assert {"DynamicUser=yes", "ProtectSystem=strict"} <= set(unit.read_text().splitlines())
    assert re.search(r"^USER \d+$", (DEPLOY / "Containerfile").read_text(), re.MULTILINE)


def test_the_probes_ask_for_what_is_there() -> None:
    """The paths of `api.health`."""
    text = "".join(path.read_text() for path in DEPLOY.rglob("*") if path.is_file())
    assert set(re.findall(r"/health/?\w*", text)) == {"/health/live", "/health/ready"}


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_understands_the_units(unit: Path, tmp_path: Path) -> None:
    """`systemd-analyze verify`, with a program that is there."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze on this machine: apt-get install systemd")
    name = unit.name.replace("@", "@api")
    copy = tmp_path / name
    copy.write_text(unit.read_text().replace("/opt/heliogram/bin/heliogram", "/bin/true"))
    environment = {**os.environ, "SYSTEMD_LOG_LEVEL": "warning"}
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", copy], capture_output=True, text=True, env=environment, check=False
    )
    own = [line for line in done.stderr.splitlines() if name in line]
    assert own == []


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_the_units_leave_little_open(unit: Path, tmp_path: Path) -> None:
    """By systemd's own judgement, on a scale from 0 to 10."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze on this machine: apt-get install systemd")
    copy = tmp_path / unit.name.replace("@", "@api")
    copy.write_text(unit.read_text().replace("/opt/heliogram/bin/heliogram", "/bin/true"))
    words = ["systemd-analyze", "security", "--offline=true", "--threshold=16", "--no-pager", str(copy)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze does not look at files: it needs 250 or newer")
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("file", CONTAINERFILES, ids=lambda file: str(file.relative_to(DEPLOY)))
def test_an_image_has_all_that_its_build_reads(file: Path, tmp_path: Path) -> None:
    """A wheel is built from what is copied into it, and from nothing else."""
    for line in re.findall(r"^COPY (?!--from)(.*)$", file.read_text(), re.MULTILINE):
        *sources, target = line.split()
        for source in sources:
            whole = tmp_path / target
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, whole, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
            else:
                place = whole / Path(source).name if target.endswith("/") else whole
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / source, place)
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel"],
        cwd=tmp_path,
        env={**os.environ, "HELIOGRAM_PURE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list((tmp_path / "dist").glob("heliogram-*.whl"))) == 1
    for locked in re.findall(r"(requirements/\S+\.txt)$", file.read_text(), re.MULTILINE):
        assert (tmp_path / locked).is_file(), locked


def test_volumes_belong_to_whom_writes_to_them() -> None:
    """A new volume gets the owner of the directory that it is mounted on: the image has to have that."""
    owned = re.findall(
        r"install --directory --owner heliogram --mode \d+ (/\S+)", (DEPLOY / "Containerfile").read_text()
    )
    for name, service in COMPOSE["services"].items():
        if service["image"] == "heliogram":
            mounted = {str(volume).split(":")[1] for volume in service.get("volumes", ())}
            assert mounted <= set(owned), name


def test_the_image_is_installed_from_a_locked_file_with_all_extras() -> None:
    """With hashes, and with what PostgreSQL and NATS need."""
    locked = (ROOT / "requirements" / "image.txt").read_text()
    names = set(re.findall(r"^([a-z0-9-]+)==", locked, re.MULTILINE))
    assert {"asyncpg", "greenlet", "nats-py", "python-liquid", "apsw", "starlette"} <= names
    assert locked.count("--hash=sha256:") > len(names)
    tested = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / "requirements" / "dev.txt").read_text(), re.MULTILINE))
    assert all(tested[name] == version for name, version in re.findall(r"^([a-z0-9-]+)==(\S+)", locked, re.MULTILINE))
