"""A command group whose commands are imported when they are run: `heliogram --help` waits for none of them."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem


class Deferred(click.Command):
    """A command that is not imported yet: its name, its place (`package.module:attribute`) and its line in the help."""

    def __init__(self, name: str, place: str, line: str) -> None:
        super().__init__(name, short_help=line)
        self.place = place

    def load(self) -> click.Command:
        """The command itself."""
        module, attribute = self.place.split(":")
        found = getattr(import_module(module), attribute)
        if not isinstance(found, click.Command):
            raise TypeError(f"{self.place} is no command")
        return found


class _Commands(dict[str, click.Command]):
    """Commands by name; one that is asked for is imported."""

    def __getitem__(self, name: str) -> click.Command:
        found = super().__getitem__(name)
        if isinstance(found, Deferred):
            found = self[name] = found.load()
        return found

    def get(self, name: str, default: Any = None) -> Any:
        """The command of that name, imported, or the default."""
        if name not in self:
            return default
        return self[name]

    def lines(self) -> list[tuple[str, click.Command]]:
        """Name and command of each, imported or not, for the help."""
        return sorted(self.items())


class LazyGroup(click.Group):
    """A group that knows the names and help lines of its commands, and imports each when it is needed."""

    def __init__(self, *words: Any, **options: Any) -> None:
        super().__init__(*words, **options)
        self._lazy = _Commands(self.commands)
        self.commands = self._lazy

    def defer(self, commands: Iterable[tuple[str, str, str]]) -> None:
        """Adds commands as (name, place, help line)."""
        for name, place, line in commands:
            self._lazy[name] = Deferred(name, place, line)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the list of commands without importing them."""
        lines = [(name, command) for name, command in self._lazy.lines() if not command.hidden]
        if not lines:
            return
        limit = formatter.width - 6 - max(len(name) for name, _ in lines)
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.get_short_help_str(limit)) for name, command in lines])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Completes the names of commands without importing them, and options as ever."""
        names = [
            CompletionItem(name, help=command.get_short_help_str())
            for name, command in self._lazy.lines()
            if name.startswith(incomplete) and not command.hidden
        ]
        return names + click.Command.shell_complete(self, ctx, incomplete)
