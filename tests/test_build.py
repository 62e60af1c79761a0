"""The build hook compiles the accelerator where that can be done, and never fails for want of anything."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "heliogram" / "_native.c"


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.delenv("HELIOGRAM_PURE", raising=False)
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_without_a_compiler_it_says_so(hook: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No compiler in PATH is a reason, not an error."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert hook._compile(SOURCE, tmp_path / "_native.so") in ("no C compiler", "no Python.h")


def test_a_compiler_that_fails_is_a_reason(hook: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the compiler says last is told."""
    monkeypatch.setenv("CC", "false")
    assert hook._compile(SOURCE, tmp_path / "_native.so") in ("false failed: ?", "no Python.h")


def test_it_can_be_left_out(hook: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HELIOGRAM_PURE=1 builds nothing."""
    monkeypatch.setenv("HELIOGRAM_PURE", "1")
    assert hook._compile(SOURCE, tmp_path / "_native.so") == "HELIOGRAM_PURE is 1"


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
@pytest.mark.skipif(not Path(sysconfig.get_path("include"), "Python.h").exists(), reason="no Python.h")
def test_it_compiles_without_a_warning(hook: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every usual warning an error."""
    monkeypatch.setattr(
        hook, "_OPTIONS", (*hook._OPTIONS, "-Wall", "-Wextra", "-Werror", "-Wno-missing-field-initializers")
    )
    assert hook._compile(SOURCE, tmp_path / "_native.so") is None


def test_the_switch_is_heeded() -> None:
    """HELIOGRAM_PURE=1 leaves the twins alone though they are built."""
    asked = "from heliogram._accel import is_native; from heliogram.apns import connection; "
    asked += "print(is_native(), connection._accept)"
    environment = {"HELIOGRAM_PURE": "1", "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", asked], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "False None\n"
