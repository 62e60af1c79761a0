"""The documentation builds as a site: every link leads somewhere, and a reader's browser asks nobody else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_ASKED_FOR = re.compile(
    r"""<(?:script|img|iframe|source)[^>]*\ssrc=["']?(?:https?:)?//|<link[^>]*\shref=["']?(?:https?:)?//"""
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; a warning of the build is an error."""
    folder = tmp_path_factory.mktemp("site") / "site"
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    # The variable silences a notice about a coming version of MkDocs.
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    run = subprocess.run(build, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    return folder


def test_every_page_is_on_the_site(site: Path) -> None:
    """Each page below docs/ has a page of the site."""
    pages = sorted(page.relative_to(ROOT / "docs").with_suffix("") for page in ROOT.glob("docs/**/*.md"))
    named = [page.parent if page.name in ("index", "README") else page for page in pages]
    assert [str(page) for page in named if not (site / page / "index.html").is_file()] == []
    assert len(named) > 30


def test_the_site_asks_nobody_else(site: Path) -> None:
    """Scripts, styles, fonts and pictures come with the site."""
    asking = [str(page) for page in site.rglob("*.html") if _ASKED_FOR.search(page.read_text("utf-8"))]
    assert asking == []
