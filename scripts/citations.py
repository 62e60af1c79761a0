"""What tests cite in their docstrings: shared by the scripts that write a page of rules and who shows them."""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def cases(file: Path) -> Iterator[tuple[str, str]]:
    """Name and docstring of every test of a file."""
    tree = ast.parse(file.read_text("utf-8"))
    for node in tree.body:
        inner = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        for one in inner:
            if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) and one.name.startswith("test_"):
                yield prefix + one.name, ast.get_docstring(one) or ""


def citations(pattern: re.Pattern[str]) -> Iterator[tuple[str, str, str]]:
    """Each citation: what is cited, the file under tests/, the test's name there."""
    for file in sorted((ROOT / "tests").glob("*/**/test_*.py")):
        path = file.relative_to(ROOT / "tests").as_posix()
        for name, text in cases(file):
            for cited in sorted(set(pattern.findall(text))):
                yield cited, path, name


def differences(page: Path, text: str, script: str) -> list[str]:
    """Nothing when the page is what would be written; else how it is not."""
    old = page.read_text("utf-8") if page.exists() else ""
    if text == old:
        return []
    lines = difflib.unified_diff(old.splitlines(), text.splitlines(), "page", "tests", lineterm="", n=0)
    return [f"{page.relative_to(ROOT)} is out of date: run scripts/{script}", *lines]
