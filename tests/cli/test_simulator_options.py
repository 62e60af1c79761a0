"""`heliogram simulator` started with what cannot work."""

from __future__ import annotations

from pathlib import Path

from support.programs import heliogram


def test_a_damaged_ca_is_told_without_a_traceback(tmp_path: Path) -> None:
    """The CA that clients trust is not replaced: the error names the files to remove."""
    (tmp_path / "ca.pem").write_text("junk")
    (tmp_path / "ca.key").write_text("junk")
    done = heliogram("simulator", "--control", "127.0.0.1:0", "--data", str(tmp_path))
    assert done.returncode == 1
    assert "remove ca.pem and ca.key" in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
