"""The command line teaches itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from click import Group
from click.testing import CliRunner

from heliogram import __version__
from heliogram.cli.root import COMMANDS as COMMANDS_OF_ROOT
from heliogram.cli.root import cli


def walk(group: Group, *before: str) -> Iterator[str]:
    """The words of every command below a group."""
    for name in sorted(group.commands):
        found = group.commands[name]
        if isinstance(found, Group):
            yield from walk(found, *before, name)
        if not isinstance(found, Group) or found.invoke_without_command:
            yield " ".join([*before, name])


COMMANDS = [*walk(cli)]


def run(*words: str) -> str:
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_first_help_names_every_command() -> None:
    """A newcomer sees what there is and what to try first."""
    text = run("--help")
    assert isinstance(cli, Group)
    for command in cli.commands:
        assert command in text
    assert "Try it" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_for_every_option(command: str) -> None:
    """No option without a word of explanation."""
    found = cli
    for word in command.split():
        assert isinstance(found, Group)
        found = found.commands[word]  # type: ignore[assignment]
    assert found.help
    for parameter in found.params:
        assert parameter.param_type_name == "argument" or getattr(parameter, "help", None), parameter.name
    assert "Usage:" in run(*command.split(), "--help")


def test_the_list_of_commands_says_what_each_says_of_itself() -> None:
    """The first help is written without importing the commands, and says the same as their own."""
    for name, _, line in COMMANDS_OF_ROOT:
        assert cli.commands[name].get_short_help_str(limit=500) == line


def test_the_version_is_told() -> None:
    """`heliogram --version` names the program and its version."""
    assert run("--version").strip() == f"heliogram, version {__version__}"


def test_the_simulator_tells_the_order_of_its_checks() -> None:
    """Apple does not publish the order; whoever wonders why a push was refused finds it in --help."""
    text = run("simulator", "--help")
    places = [text.index(reason) for reason in ("405 MethodNotAllowed", "403 MissingProviderToken", "400 BadMessageId")]
    assert places == sorted(places)
