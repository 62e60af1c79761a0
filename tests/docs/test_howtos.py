"""Every command and every program of the documents is run, or says which test runs it instead.

A page's blocks are run as they are printed, in their order; a recipe says what stands for its placeholders.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.howto_recipes import NOT_RUN, RECIPES
from support.howtos import ROOT, World, blocks, program
from support.waiting import HANG_SECONDS

pytestmark = [pytest.mark.timeout(4 * HANG_SECONDS), pytest.mark.xdist_group("howtos")]

PAGES = sorted(
    str(page.relative_to(ROOT))
    for pattern in ("*.md", "bench/*.md", "clients/**/*.md", "deploy/**/*.md", "docs/**/*.md")
    for page in ROOT.glob(pattern)
)


def text(page: str) -> str:
    return (ROOT / page).read_text("utf-8")


def not_run(page: str) -> frozenset[int]:
    return frozenset(number for each, number in NOT_RUN if each == page)


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("howtos") / "world")
    try:
        world.furnish()
        yield world
    finally:
        world.close()


def test_every_block_is_run_or_says_by_which_test() -> None:
    """No page with code is forgotten, and nothing is excused that is not there."""
    there = {(page, number) for page in PAGES for number, _ in enumerate(blocks(page))}
    assert {each for each in there if each[0] not in RECIPES} <= NOT_RUN.keys()
    assert NOT_RUN.keys() <= there
    assert [page for page in RECIPES if not any(each[0] == page for each in there - NOT_RUN.keys())] == []
    named = {path for why in NOT_RUN.values() for path in re.findall(r"tests/\S+\.py", why)}
    assert [path for path in named if not (ROOT / path).is_file()] == []


@pytest.mark.parametrize("page", PAGES)
def test_no_block_hides_from_it(page: str) -> None:
    """Blocks for a shell are called sh, those of Python python, and neither is indented."""
    hidden = re.findall(
        r"^ +```(?:sh|python)$|^ *```(?:bash|shell|console|py|pycon|python3)$", text(page), re.MULTILINE
    )
    assert hidden == []


@pytest.mark.parametrize("page", [page for page, recipe in RECIPES.items() if recipe.furnished])
def test_a_page_beside_a_service(furnished: World, page: str) -> None:
    """As a reader does who has the service and the simulator running."""
    recipe = RECIPES[page]
    said = furnished.run(program(page, recipe, not_run(page)), furnished.page_folder(Path(page).stem))
    for words in recipe.expected:
        assert words in said, said


@pytest.mark.parametrize("page", [page for page, recipe in RECIPES.items() if not recipe.furnished])
def test_a_page_that_starts_everything_itself(tmp_path: Path, page: str) -> None:
    """As a reader does on a machine on which nothing runs."""
    recipe, world = RECIPES[page], World(tmp_path / "world")
    try:
        said = world.run(program(page, recipe, not_run(page)), world.folder)
    finally:
        world.close()
    for words in recipe.expected:
        assert words in said, said
