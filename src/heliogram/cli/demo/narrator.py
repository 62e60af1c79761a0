"""How the demo speaks: numbered steps, requests and answers."""

from __future__ import annotations

import json
from typing import Any

import click

_WIDTH = 1_000


class Narrator:
    """Prints what happens, with the secret parts of a body shortened."""

    def __init__(self) -> None:
        self._step = 0

    def __repr__(self) -> str:
        return f"Narrator(step={self._step})"

    def step(self, title: str) -> None:
        """Begins the next step."""
        self._step += 1
        click.echo(f"\n{click.style(f'{self._step:>2}', bold=True, fg='green')}  {click.style(title, bold=True)}")

    def note(self, text: str) -> None:
        """A line of explanation."""
        click.echo(f"      {text}")

    def request(self, method: str, url: str, body: object | None = None) -> None:
        """What is sent."""
        shown = f" {_compact(body)}" if body is not None else ""
        click.echo(f"    {click.style('→', fg='cyan')} {method} {url}{shown}")

    def answer(self, status: int, body: object | None = None) -> None:
        """What came back."""
        shown = f" {_compact(body)}" if body not in (None, "") else ""
        colour = "green" if status < 300 else "yellow"
        click.echo(f"    {click.style('←', fg=colour)} {status}{shown}")

    def phone(self, lines: list[str]) -> None:
        """A lock screen with a notification on it."""
        width = max(len(line) for line in lines) + 2
        click.echo(f"      ╭{'─' * width}╮")
        for line in lines:
            click.echo(f"      │ {line:<{width - 2}} │")
        click.echo(f"      ╰{'─' * width}╯")

    def failed(self, message: str) -> None:
        """The step did not work; goes to standard error."""
        click.secho(f"\ndemo: step {self._step} failed: {message}", fg="red", err=True)

    def bye(self) -> None:
        """The user has had enough."""
        click.echo("\nStopped. Run it again: what it made is kept in the data directory.")


def _compact(body: object) -> str:
    text = json.dumps(_shortened(body), ensure_ascii=False)
    return text if len(text) <= _WIDTH else f"{text[:_WIDTH]}…"


def _shortened(value: Any, name: str = "") -> Any:
    """Key material is not shown, not even in a demo: people copy what they see."""
    if isinstance(value, dict):
        return {key: _shortened(part, key) for key, part in value.items()}
    if isinstance(value, list):
        return [_shortened(part) for part in value]
    if name in ("signingKey", "secret", "p8", "apiKey") and isinstance(value, str):
        return "…"
    return value
