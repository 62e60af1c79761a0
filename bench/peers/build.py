"""Builds the peers that are no part of the development environment, and tells how each is started.

    python bench/peers/build.py DIR [NAME …]

Standard output is one JSON object, name to command; PORT, CAFILE, PUSHES and perhaps the number of connections follow
that command. What was done, and what is left out and why, goes to standard error. Everything made is below DIR, outside
the repository; what is there and right is not made again. The versions are those of the lock files beside this one.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent.resolve()


class LeftOut(Exception):
    """This peer cannot be had here; the text says why."""


def run(*words: str | Path, folder: Path = HERE, **variables: str) -> str:
    """Run a build step to its end; its standard output."""
    done = subprocess.run(
        [str(word) for word in words], cwd=folder, env=os.environ | variables, capture_output=True, text=True
    )
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-5:]
        raise LeftOut(f"`{Path(words[0]).name} {words[1]}` failed:\n    " + "\n    ".join(said))
    return done.stdout


def tools(*names: str) -> None:
    """Refuse where one of them is not on this machine."""
    missing = [name for name in names if shutil.which(name) is None]
    if missing:
        raise LeftOut(f"not on this machine: {', '.join(missing)}")


def httpx2(made: Path) -> list[str]:
    """A virtual environment of its own, from hashed requirements."""
    python = made / "venv" / "bin" / "python"
    run(sys.executable, "-m", "venv", "--clear", made / "venv")
    run(python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", HERE / "httpx2" / "requirements.txt")
    return [str(python), str(HERE / "httpx2" / "client.py")]


def node(made: Path) -> list[str]:
    """The locked packages, with the client beside them: where Node looks for them."""
    tools("node", "npm")
    for source in ("package.json", "package-lock.json", "client.js"):
        shutil.copy(HERE / "node" / source, made)
    run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=made)
    return ["node", str(made / "client.js")]


def go(which: str) -> Callable[[Path], list[str]]:
    """One of the two Go programs; go.sum holds the hashes."""

    def build(made: Path) -> list[str]:
        tools("go")
        run("go", "build", "-buildvcs=false", "-o", made / which, f"./{which}", folder=HERE / "go")
        return [str(made / which)]

    return build


def pushy(made: Path) -> list[str]:
    """Maven compiles the class and collects the jars, whose hashes are checked here: Maven has no lock file."""
    tools("java", "javac", "mvn")
    run("mvn", "-B", "-q", f"-Dmade={made}", "compile", folder=HERE / "pushy")
    lines = (HERE / "pushy" / "jars.sha256").read_text().splitlines()
    wanted = {name: digest for digest, name in (line.split() for line in lines)}
    found = {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in (made / "lib").iterdir()}
    wrong = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
    if wrong:
        raise LeftOut(f"not the jars of jars.sha256: {', '.join(wrong)}")
    return ["java", "-cp", f"{made / 'classes'}{os.pathsep}{made / 'lib'}/*", "PushyPeer"]


def replaced(path: Path, *pairs: tuple[str, str]) -> None:
    """Replace in a file what has to be there exactly once."""
    text = path.read_text()
    for old, new in pairs:
        if text.count(old) != 1:
            raise LeftOut(f"a2 is not as expected: {old!r} is in {path.name} {text.count(old)} times")
        text = text.replace(old, new)
    path.write_text(text)


def a2(made: Path) -> list[str]:
    """A copy of the published a2 that calls this machine in place of Apple; all else is as published."""
    tools("cargo")
    project, copy = made / "project", made / "a2"
    shutil.copytree(HERE / "a2", project, ignore=shutil.ignore_patterns("target"))
    told: dict[str, Any] = json.loads(run("cargo", "metadata", "--format-version", "1", folder=project))
    manifest = next(one["manifest_path"] for one in told["packages"] if one["name"] == "a2")
    shutil.copytree(Path(manifest).parent, copy)
    shutil.copy(project / "local.rs", copy / "src")
    replaced(copy / "src" / "lib.rs", ("\npub mod client;\n", "\npub mod client;\nmod local;\n"))
    replaced(
        copy / "src" / "client.rs",
        ('Endpoint::Sandbox => "api.development.push.apple.com"', "Endpoint::Sandbox => crate::local::host()"),
        (
            "HttpsConnectorBuilder::new()\n        .with_webpki_roots()",
            "HttpsConnectorBuilder::new()\n        .with_tls_config(crate::local::tls())",
        ),
    )
    patch = f'patch.crates-io.a2.path="{copy}"'
    run(
        "cargo",
        "build",
        "--release",
        "--offline",
        "--config",
        patch,
        folder=project,
        CARGO_TARGET_DIR=str(made / "out"),
    )
    return [str(made / "out" / "release" / "a2-peer")]


PEERS: dict[str, tuple[str, Callable[[Path], list[str]]]] = {
    "a2": ("a2", a2),
    "pushy": ("pushy", pushy),
    "apns2": ("go", go("apns2")),
    "nethttp": ("go", go("nethttp")),
    "node-apn": ("node", node),
    "httpx2": ("httpx2", httpx2),
}


def sources(name: str) -> Iterator[Path]:
    """What this peer is made from."""
    yield HERE / "build.py"
    yield from sorted(path for path in (HERE / PEERS[name][0]).rglob("*") if path.is_file())


def build(folder: Path, names: list[str] | None = None) -> dict[str, list[str]]:
    """Build those peers (all, when none is named) below `folder`, one after the other; those that could be had."""
    folder, commands = folder.resolve(), {}
    for name in names or list(PEERS):
        if name not in PEERS:
            raise SystemExit(f"no peer is called {name!r}; there are {', '.join(PEERS)}")
        made, stamp = folder / name, folder / f"{name}.json"
        digest = hashlib.sha256(
            sys.version.encode() + b"".join(path.read_bytes() for path in sources(name))
        ).hexdigest()
        known = json.loads(stamp.read_text()) if stamp.exists() else {}
        if known.get("digest") == digest and known.get("made") == str(made) and made.is_dir():
            print(f"{name}: is there", file=sys.stderr)
            commands[name] = known["command"]
            continue
        stamp.unlink(missing_ok=True)
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(parents=True)
        try:
            commands[name] = PEERS[name][1](made)
        except LeftOut as why:
            print(f"{name}: left out, {why}", file=sys.stderr)
            continue
        print(f"{name}: built in {made}", file=sys.stderr)
        stamp.write_text(json.dumps({"digest": digest, "made": str(made), "command": commands[name]}))
    return commands


def main() -> None:
    """Build what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="DIR", type=Path)
    parser.add_argument("names", metavar="NAME", nargs="*", help=f"of {', '.join(PEERS)}")
    options = parser.parse_args()
    print(json.dumps(build(options.folder, options.names), indent=2))


if __name__ == "__main__":
    main()
