"""What would become of a send: what `--dry-run` shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .showing import clean, details, plural, tell_push

if TYPE_CHECKING:
    from ..client import Trial


def tell_trial(trial: Trial) -> None:
    """For a person."""
    sizes = trial.payload_bytes
    details(
        [
            ("would be sent to", plural(trial.recipients - trial.unaddressable - trial.failing, "recipient")),
            ("without a device", trial.unaddressable or None),
            ("would fail", trial.failing or None),
            ("payload", None if sizes is None else f"{sizes.smallest} to {sizes.largest} bytes of {sizes.limit}"),
        ]
    )
    for problem in trial.problems:
        click.echo(f"{problem.context.removeprefix('$.')}: {clean(problem.reason)}\n  {problem.cure}")
    if trial.sample is not None:
        tell_push(trial.sample.headers, trial.sample.payload)
