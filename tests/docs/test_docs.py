"""The documents are true in what a program can check: codes, links, and that they stand on their own."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import click
import pytest

from heliogram.cli.root import cli
from heliogram.domain.errors import Code

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("bench/*.md"), *ROOT.glob("docs/**/*.md")])

_LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_CODE_BLOCK = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_SHELL = re.compile(r"^```sh\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_PYTHON = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_SUBSTITUTION = re.compile(r"\$\([^)]*\)")
_END = ("&", ">", "|", "||")
"""Where a command's own words end."""
_COMMAND = re.compile(r"^\s*heliogram (.*)$", re.MULTILINE)
_CODE_SPAN = re.compile(r"`[^`\n]*`")
_RULE_ID = re.compile(r"\b(?:CONN|TOK|CERT|REQ|TYPE|SIZE|LA|RESP|ERR|BC|LIFE|SUR)-\d+[a-z]?\b")
_FOREIGN = re.compile(
    r"""(?<![\w.:/-])/(?:work|home|root|Users)/\w  # somebody's own directories
      | (?:\.\./)+shared\b
      | \bdecisions\.md\b | \bdesign\.md\b
      | (?<![\w/])/tmp/contracts""",
    re.VERBOSE,
)


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


every_page = pytest.mark.parametrize("page", PAGES, ids=_name)


def _prose(page: Path) -> str:
    """The page without its code, in which brackets are no links."""
    return _CODE_SPAN.sub("", _CODE_BLOCK.sub("", page.read_text("utf-8")))


def _anchors(page: Path) -> Iterator[str]:
    """The anchors of a page's headings, made the way GitHub makes them."""
    for line in _CODE_BLOCK.sub("", page.read_text("utf-8")).splitlines():
        if line.startswith("#"):
            kept = re.sub(r"[^\w\- ]", "", line.lstrip("#").strip().lower())
            yield kept.replace(" ", "-")


def test_error_page_lists_every_code() -> None:
    """docs/reference/errors.md has one row for each code of the enum, and none for a code that is not there."""
    page = (ROOT / "docs/reference/errors.md").read_text("utf-8")
    listed = [int(code) for code in re.findall(r"^\| (\d{5}) \|", page, re.MULTILINE)]
    assert sorted(listed) == sorted(int(code) for code in Code)


@every_page
def test_links_point_to_files_that_exist(page: Path) -> None:
    """Every relative link of a page leads to a file of the repository, and its anchor to a heading there."""
    broken = []
    for target in _LINK.findall(_prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or not file.is_relative_to(ROOT) or (anchor and anchor not in _anchors(file)):
            broken.append(target)
    assert broken == []


@every_page
def test_no_page_names_a_path_outside_the_repository(page: Path) -> None:
    """The repository stands on its own: no page leans on a file that a reader does not have."""
    assert [match.group() for match in _FOREIGN.finditer(page.read_text("utf-8"))] == []


def _cited() -> set[str]:
    sources = [*ROOT.glob("src/**/*.py"), *ROOT.glob("src/**/*.sql"), *PAGES]
    return {rule for source in sources for rule in _RULE_ID.findall(source.read_text("utf-8"))}


def test_every_cited_rule_is_in_the_rule_book() -> None:
    """A rule ID in code or documents is one that docs/reference/apns-rules.md defines."""
    book = (ROOT / "docs/reference/apns-rules.md").read_text("utf-8")
    defined = set(re.findall(r"^\s*(?:- |\| )([A-Z]+-\d+[a-z]?)(?::| \|)", book, re.MULTILINE))
    assert len(defined) > 100
    assert _cited() - defined == set()


def _commands(page: Path) -> Iterator[list[str]]:
    """The words after `heliogram` in the shell blocks of a page, one list a command."""
    for block in _SHELL.findall(page.read_text("utf-8")):
        for line in _COMMAND.findall(block.replace("\\\n", " ")):
            words = shlex.split(_SUBSTITUTION.sub("VALUE", line), comments=True)
            yield [*takewhile(lambda word: word not in _END, words)]


def _options(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that the words name, and the options they give it."""
    command: click.Command = cli
    given, value_follows = [], False
    for word in words:
        if value_follows:
            value_follows = False
        elif word.startswith("-") and word != "-":
            name, value_is_there, _ = word.partition("=")
            given.append(name)
            known = {opt: parameter for parameter in command.params for opt in parameter.opts}
            option = known.get(name)
            value_follows = not value_is_there and isinstance(option, click.Option) and not option.is_flag
        elif isinstance(command, click.Group):
            command = command.commands[word]
    return command, given


@every_page
def test_commands_are_ones_the_command_line_knows(page: Path) -> None:
    """Every `heliogram …` in a shell block names a command that exists, and only options that it has."""
    for words in _commands(page):
        command, given = _options(words)
        known = {name for parameter in command.params for name in parameter.opts} | {"--help", "--version"}
        assert set(given) <= known, f"heliogram {' '.join(words)}"


@every_page
def test_python_examples_parse_and_import_what_is_there(page: Path) -> None:
    """A Python block is valid Python, and what it imports from the package is there to import."""
    for block in _PYTHON.findall(page.read_text("utf-8")):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("heliogram"):
                module = importlib.import_module(node.module or "")
                assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


def test_how_tos_show_commands() -> None:
    """The check of commands finds something to check."""
    assert len([words for page in PAGES for words in _commands(page)]) > 8
