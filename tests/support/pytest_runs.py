"""Test runs of projects that know nothing of this repository: a folder, an environment with the package, pytest."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
import tomllib
from dataclasses import dataclass
from pathlib import Path

_WITHOUT = [word for name in ("cacheprovider", "timeout", "hypothesispytest") for word in ("-p", f"no:{name}")]
ROOT = Path(__file__).parents[2]


@dataclass
class Run:
    """How a run of pytest ended."""

    code: int
    output: str

    @property
    def counts(self) -> dict[str, int]:
        """Tests by outcome, as the last line says."""
        last = self.output.strip().splitlines()[-1]
        return {word: int(count) for count, word in re.findall(r"(\d+) (\w+?)s?\b(?=[, ])", last) if word != "in"}


class Project:
    """A project in ``folder`` whose environment has the package's plugin, as pyproject.toml declares it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "project"
        self.folder.mkdir()
        self._site = folder / "site"
        declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"]["pytest11"]
        distribution = self._site / "declared_by_heliogram-1.dist-info"
        distribution.mkdir(parents=True)
        (distribution / "METADATA").write_text("Metadata-Version: 2.1\nName: declared-by-heliogram\nVersion: 1\n")
        lines = [f"{name} = {module}" for name, module in declared.items()]
        (distribution / "entry_points.txt").write_text("\n".join(["[pytest11]", *lines, ""]))

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(textwrap.dedent(text), "utf-8")

    def pytest(self, *arguments: str) -> Run:
        """Run its tests; warnings are errors. Plugins that are slow to load and not needed are left out."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-W", "error", *_WITHOUT, *arguments],
            cwd=self.folder,
            env=environment | {"PYTHONPATH": os.pathsep.join([str(self._site), str(ROOT / "src")])},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        return Run(done.returncode, done.stdout + done.stderr)
