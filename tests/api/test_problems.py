"""The API's codes and how the domain's exceptions become answers."""

from __future__ import annotations

import re

import pytest
from support.service import Service

from heliogram.api.problems import translate
from heliogram.domain.errors import MEANINGS, Code, Unavailable
from heliogram.rest import LAYER_CODES

pytestmark = pytest.mark.anyio


def test_every_code_has_a_meaning() -> None:
    """`more_info` always points at something."""
    assert set(MEANINGS) == set(Code)


def test_the_layer_and_the_domain_agree_on_codes() -> None:
    """What the HTTP layer answers by itself is in the service's table too."""
    assert {int(code) for code in Code} >= set(LAYER_CODES)


async def test_the_page_explains_every_code(service: Service) -> None:
    """`/docs#code-N` exists for each."""
    text = (await service.client.get("/docs")).text
    assert {int(each) for each in re.findall(r'id="code-(\d+)"', text)} >= {int(code) for code in Code}


def test_an_unavailable_service_asks_to_come_back(caplog: pytest.LogCaptureFixture) -> None:
    """503 with Retry-After, without the server's own words; those are in the log."""
    problem = translate(Unavailable("disk /var/lib is full"))
    assert problem is not None
    assert (problem.status, problem.headers["Retry-After"]) == (503, "5")
    assert "disk" not in problem.detail
    assert "disk /var/lib is full" in caplog.text


def test_a_bug_is_nobody_s_problem() -> None:
    """Exceptions the domain does not know stay internal errors."""
    assert translate(RuntimeError("x")) is None
