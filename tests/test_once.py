"""What many want to know at once is asked once."""

from __future__ import annotations

import asyncio

import pytest

from heliogram.once import Once

pytestmark = pytest.mark.anyio


class Question:
    """Something that is asked, and answered when the test says so."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def ask(self) -> str:
        self.asked += 1
        return await self.answer


async def test_who_asks_meanwhile_gets_the_same_answer() -> None:
    """One question under way serves all who ask for the same; who comes later asks anew."""
    once, question = Once[str, str](), Question()
    asking = [asyncio.ensure_future(once.ask("key", question.ask)) for _ in range(3)]
    await asyncio.sleep(0)
    question.answer.set_result("yes")
    assert await asyncio.gather(*asking) == ["yes"] * 3
    assert question.asked == 1
    assert await once.ask("key", question.ask) == "yes"
    assert question.asked == 2


async def test_other_keys_are_other_questions() -> None:
    """Each key is asked for by itself."""
    once, question = Once[str, str](), Question()
    question.answer.set_result("yes")
    await asyncio.gather(once.ask("one", question.ask), once.ask("other", question.ask))
    assert question.asked == 2


async def test_who_leaves_takes_nothing_from_the_others() -> None:
    """The first to ask may be cancelled; the others still get their answer."""
    once, question = Once[str, str](), Question()
    first, second = (asyncio.ensure_future(once.ask("key", question.ask)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    question.answer.set_result("yes")
    assert await second == "yes"
    assert first.cancelled()


async def test_an_error_is_told_to_all() -> None:
    """What the question raises, each of them gets."""
    once, question = Once[str, str](), Question()
    asking = [asyncio.ensure_future(once.ask("key", question.ask)) for _ in range(2)]
    await asyncio.sleep(0)
    question.answer.set_exception(ValueError("no"))
    found = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(each) for each in found] == [ValueError] * 2
    assert repr(once) == "Once(asking=0)"
