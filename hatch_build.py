"""Builds `heliogram/_native` when there is a C compiler and Python's headers; else the wheel is pure Python, as good.

`HELIOGRAM_PURE=1` leaves it out. An editable install puts the library beside the C file, a wheel takes it in.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_OPTIONS = ("-O2", "-DNDEBUG", "-std=c11", "-fvisibility=hidden")
_LOAD = "import importlib.util as u, sys; s = u.spec_from_file_location('heliogram._native', sys.argv[1]); " + (
    "s.loader.exec_module(u.module_from_spec(s))"
)


class CustomBuildHook(BuildHookInterface[Any]):
    """See the module."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and tell the wheel what it holds; never fails for want of a compiler."""
        if self.target_name != "wheel":
            return
        package = Path(self.root, "src", "heliogram")
        editable = version == "editable"
        self._folder = None if editable else tempfile.mkdtemp(prefix="heliogram-native-")
        library = Path(self._folder or package, "_native" + str(sysconfig.get_config_var("EXT_SUFFIX")))
        problem = _compile(package / "_native.c", library)
        if problem is not None:
            library.unlink(missing_ok=True)
            self.app.display_info(f"heliogram: pure Python, without the accelerator in C ({problem})")
            return
        self.app.display_info("heliogram: with the accelerator in C")
        if not editable:
            build_data["force_include"][str(library)] = f"heliogram/{library.name}"
            build_data["pure_python"] = False
            build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Leave nothing behind."""
        folder = getattr(self, "_folder", None)
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _compile(source: Path, library: Path) -> str | None:
    """Compiles and tries to load the library; what stood in the way, or None."""
    if os.environ.get("HELIOGRAM_PURE") == "1":
        return "HELIOGRAM_PURE is 1"
    if sys.implementation.name != "cpython" or sys.platform == "win32" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "this Python is not supported"
    headers = sysconfig.get_path("include")
    if not Path(headers, "Python.h").exists():
        return "no Python.h"
    link = shlex.split(str(sysconfig.get_config_var("LDSHARED") or "cc -shared"))
    compiler = shlex.split(os.environ.get("CC", "")) or link[:1]
    if shutil.which(compiler[0]) is None:
        compiler = ["cc"]  # the one that Python was built with is not on this machine
    if shutil.which(compiler[0]) is None:
        return "no C compiler"
    shared = shlex.split(str(sysconfig.get_config_var("CCSHARED") or ""))
    command = [*compiler, *link[1:], *_OPTIONS, *shared, f"-I{headers}", str(source), "-o", str(library)]
    for tried in (command, [sys.executable, "-c", _LOAD, str(library)]):
        done = subprocess.run(tried, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            return f"{tried[0]} failed: {(done.stderr.strip() or '?').splitlines()[-1]}"
    return None
