"""docs/reference/retry-policy.md, written from the service's table: `python tests/support/retry_page.py` writes it."""

from __future__ import annotations

from pathlib import Path

from heliogram.delivery.breaker import CANNOT_REACH
from heliogram.delivery.fates import GRACE_WITHOUT_TIMESTAMP_MS
from heliogram.delivery.policy import PROBE_LADDER, REACH_LADDER, RetryPolicy
from heliogram.delivery.providers.apns.verdicts import CLASSES, TABLE, WITHOUT_ANSWER, Verdict
from heliogram.delivery.resting import MOST
from heliogram.ports import DeviceFate, Retry
from heliogram.store.sqlite.refused import REMEMBERED_MS

PAGE = Path(__file__).parents[2] / "docs/reference/retry-policy.md"


def _span(ms: int) -> str:
    seconds = ms // 1000
    return f"{seconds} s" if seconds < 60 else f"{seconds // 60} min" if seconds < 3600 else f"{seconds // 3600} h"


def _ladder(steps: tuple[int, ...]) -> str:
    return f"after {', '.join(map(_span, steps[:-1]))}, then every {_span(steps[-1])}"


def _times(policy: RetryPolicy) -> dict[Retry, str]:
    probes = f"when the credential works: one is tried {_ladder(PROBE_LADDER)}"
    quick = ", ".join(map(_span, policy.tx_ladder))
    return {
        Retry.NEVER: "no",
        Retry.ONCE: f"once, after {_span(policy.unknown_wait)}",
        Retry.SOON: _ladder(policy.soon_ladder),
        Retry.LATER: (
            f"small sends after {quick}, each on a new connection; then, and large ones at once,"
            f" every {_span(policy.provider_wait)}"
        ),
        Retry.DEVICE: (
            f"after {_span(policy.device_wait)}, doubled each time up to {_span(policy.device_wait_max)};"
            " other pushes to the device wait as long"
        ),
        Retry.CREDENTIAL: probes,
        Retry.TOPIC: f"{probes}; with a topic that the caller named: no",
        Retry.FORBIDDEN: "no",
        Retry.UNREACHABLE: f"when APNs can be reached: one is tried {_ladder(REACH_LADDER)}",
    }


_DEVICE = {
    DeviceFate.KEEP: "",
    DeviceFate.QUARANTINE: "quarantined: nothing is sent to it until it is registered anew",
    DeviceFate.REMOVE: "removed, if it was registered before the answer's time",
}
_CREDENTIAL = {
    Retry.CREDENTIAL: "fails: everything waits for it, an alarm is raised",
    Retry.TOPIC: "fails for this topic: what has it waits, an alarm is raised",
    Retry.FORBIDDEN: "fails: everything else waits for it, an alarm is raised",
    Retry.UNREACHABLE: f"everything waits for it (`{CANNOT_REACH}`)",
}


def _row(row: Verdict, times: dict[Retry, str]) -> str:
    status = "" if not row.status else f"{row.status}"
    name = f"`{row.reason}`" if row.status else row.reason
    credential = _CREDENTIAL.get(row.retry, "works" if row.works else "")
    connection = "replaced" if row.replaces else ""
    cells = (status, name, times[row.retry], _DEVICE[row.device], credential, connection)
    return f"| {' | '.join(cells)} |"


def page() -> str:
    """The whole page."""
    policy = RetryPolicy()
    times = _times(policy)
    head = "| status | reason | tried again | device token | credential | connection |\n|---|---|---|---|---|---|"
    rows = "\n".join(_row(row, times) for row in TABLE)
    without = "\n".join(_row(row, times) for row in WITHOUT_ANSWER)
    classes = "\n".join(
        _row(row, times).replace("``", "any other").replace("| 500 |", "| 500 and above |") for row in CLASSES
    )
    return f"""# Retry policy

What Heliogram does about each answer of APNs, row by row section 5 of [the rule book](apns-rules.md). Written from
`heliogram.delivery.providers.apns.verdicts`, `heliogram.delivery.policy` and the breaker's ladders by
`tests/support/retry_page.py`; a test checks that it is up to date, and another drives each row through the whole
service.

Every attempt has the same `apns-id`. Each wait is lengthened by up to {int(policy.jitter * 100)} % at random, and to
what a `retry-after` asks for. Nothing is tried at or after the notification's own end, with an expiration of 0 nothing
is tried twice, and what has no end is given up {_span(policy.give_up)} after it was to be sent.

{head}
{rows}

A 410 without a time counts if the token was registered more than {_span(GRACE_WITHOUT_TIMESTAMP_MS)} ago (ERR-2).

## Without an answer

`REFUSED_STREAM` and what a GOAWAY left out the engine sends again by itself, at once, for up to 30 s.

{head}
{without}

## Reasons that nobody knows (ERR-5)

The raw word is kept. All other statuses are never tried again.

{head}
{classes}

## Who waits, and where it is seen

- **A device that gets too much** is left alone by every push until its time is over, for up to {MOST:,} devices at a
  time in the memory of each sending process. The deliveries say `TooManyRequests` and when they are tried.
- **A token that was refused for good** (400 `BadDeviceToken`, `DeviceTokenNotForTopic`, 410) never reaches the wire
  again: a registered one until it is registered anew, one that nobody has registered for {_span(REMEMBERED_MS)}. A push
  straight to it fails with `RefusedBefore` and APNs' word.
- **A credential that is refused**, and one with which **APNs cannot be reached**, says so as `failing` in
  `GET /v1/PushNotifications/Credentials/{{id}}`: the reason, since when, when one push is tried next, and how many
  recipients wait. Those count as `queued` in their operations. Nobody else waits for them.
- While they wait they are not tried and write nothing further: one record of each device when it begins to wait, and
  one of each push that is tried.
"""


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
