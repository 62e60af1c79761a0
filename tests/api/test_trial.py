"""`validateOnly`: everything checked and rendered, nothing kept or sent."""

from __future__ import annotations

from typing import Any

import pytest
from support.clock import FakeClock
from support.service import TOKEN, Service

from heliogram.api.sender import Sender
from heliogram.api.trial import Trial
from heliogram.domain import ids
from heliogram.domain.apps import ProviderName
from heliogram.domain.content import Content
from heliogram.domain.notifications import Recipient, SendSpec
from heliogram.domain.render import Renderer

pytestmark = pytest.mark.anyio

DIRECT = {"token": TOKEN, "provider": "APN"}


async def attempt(service: Service, to: list[dict[str, Any]], content: dict[str, Any], **more: Any) -> Any:
    answer = await service.post("", {"to": to, "content": content, "validateOnly": True, **more})
    assert (await service.get("/Operations")).json()["operations"] == []
    return answer


async def test_a_good_send_shows_what_would_be_sent(service: Service) -> None:
    """OWN-19: The first recipient's payload and headers, sizes, and counts; nothing is kept."""
    await service.app_named()
    content = {"body": "Hi {{ name }}", "collapseId": "c", "apn": {"headers": {"apns-priority": 5}}}
    to = [{**DIRECT, "variables": {"name": "Ann"}}, {**DIRECT, "variables": {"name": "Barbara"}}]
    answer = await attempt(service, to, content, tags={"k": "v"})
    assert answer.status_code == 200
    assert "operation-id" not in answer.headers
    assert answer.json() == {
        "valid": True,
        "recipients": 2,
        "rendered": 2,
        "unaddressable": 0,
        "failing": 0,
        "payloadBytes": {"smallest": 35, "largest": 39, "limit": 4096},
        "sample": {
            "context": "$.to[0]",
            "headers": {
                "apns-push-type": "alert",
                "apns-priority": "5",
                "apns-collapse-id": "c",
                "apns-topic": "com.example.shop",
            },
            "payload": {"aps": {"alert": {"body": "Hi Ann"}}},
        },
        "problems": [],
    }


async def test_recipients_that_would_fail_are_told_with_the_cure(service: Service) -> None:
    """Too large after rendering, a template that does not fit its variables, FCM: the first 20, all counted."""
    await service.app_named()
    to: list[dict[str, Any]] = [
        {**DIRECT, "variables": {"x": "x" * 5_000, "n": 1}},
        {**DIRECT, "variables": {"x": "fine", "n": 1}},
        {**DIRECT, "variables": {"x": "", "n": 0}},
        {"token": "fcm", "provider": "FCM"},
        *[{**DIRECT, "variables": {"n": 0}}] * 30,
    ]
    trial = (await attempt(service, to, {"body": "{{ x }}", "data": {"n": "{{ 1 | divided_by: n }}"}})).json()
    assert (trial["valid"], trial["recipients"], trial["failing"]) == (True, 34, 33)
    assert trial["sample"]["context"] == "$.to[1]"
    assert len(trial["problems"]) == 20
    large, broken, fcm = trial["problems"][:3]
    assert (large["context"], large["code"]) == ("$.to[0]", 70102)
    assert large["reason"].endswith("after rendering, the limit is 4096")
    assert "shorten the content" in large["cure"]
    assert (broken["context"], broken["code"]) == ("$.to[2]", 70104)
    assert "divide by 0" in broken["reason"]
    assert (fcm["context"], fcm["code"]) == ("$.to[3]", 70050)
    assert trial["payloadBytes"]["largest"] > 4096


async def test_users_without_a_device_for_it_are_unaddressable(service: Service) -> None:
    """A device of another kind than the push type's does not count, nor one without a credential for it."""
    await service.app_named()
    user = await service.user()
    alert = (await attempt(service, [{"userId": user}, DIRECT], {"body": "x"})).json()
    assert (alert["recipients"], alert["unaddressable"]) == (2, 0)
    voip = (await attempt(service, [{"userId": user}, DIRECT], {"pushType": "voip"})).json()
    assert voip["unaddressable"] == 1
    assert voip["payloadBytes"]["limit"] == 5120
    sandbox = await service.app_named("bank", "APN_SANDBOX")
    other = (await attempt(service, [{"userId": user}], {"body": "x"}, **{"from": {"apn": sandbox}})).json()
    assert other["unaddressable"] == 1


async def test_what_is_a_400_or_404_without_it_is_one_with_it(service: Service) -> None:
    """Problems of the request are answered as ever."""
    await service.app_named()
    bad = await attempt(service, [{"token": "zz", "provider": "APN"}], {"body": "{% if %}"})
    assert (bad.status_code, [each["context"] for each in bad.json()["errors"]]) == (
        400,
        ["$.to[0].token", "$.content.body"],
    )
    nobody = ids.encode(ids.USER, service.state.ids.new())
    assert (await attempt(service, [{"userId": nobody}], {"body": "x"})).status_code == 404


async def test_ten_thousand_recipients_are_all_rendered(service: Service) -> None:
    """Full Liquid too."""
    await service.app_named()
    to = [{**DIRECT, "variables": {"n": n}} for n in range(10_000)]
    trial = (await attempt(service, to, {"body": "{% if n > 9998 %}longest{% else %}x{% endif %}"})).json()
    assert (trial["recipients"], trial["failing"]) == (10_000, 0)
    assert trial["payloadBytes"]["largest"] - trial["payloadBytes"]["smallest"] == len("longest") - 1


class Hurrying(FakeClock):
    """A second goes by whenever somebody asks how late it is."""

    def monotonic(self) -> float:
        self.advance(1)
        return super().monotonic()


@pytest.mark.parametrize(("body", "rendered"), [("{{ n | plus: 1 }}", 180), ("{{ n }}", 500)])
async def test_templates_that_take_long_get_ten_seconds(service: Service, body: str, rendered: int) -> None:
    """The answer says how many recipients were looked at. Of plain names it is all, whatever the clock says."""
    spec = SendSpec(app_name="shop", content=Content(body=body))
    recipients = [Recipient(token=b"t" * 32, provider=ProviderName.APN, variables={"n": n}) for n in range(500)]
    trial = Trial(spec, Renderer(spec), recipients, 4096, Hurrying())
    told = await trial.run(service.store, service.account, Sender(app_name="shop"))
    assert (told.recipients, told.rendered, told.failing) == (500, rendered, 0)
