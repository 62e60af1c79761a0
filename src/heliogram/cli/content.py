"""What a notification says, from the options of a command."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .numbers import Whole

if TYPE_CHECKING:
    from ..client import Content

_OPTIONS = (
    click.option("--title", help="The bold first line; may hold {{ variables }}."),
    click.option("--subtitle", help="The line below it."),
    click.option("--body", help="The text; may hold {{ variables }}."),
    click.option("--badge", type=Whole(0), help="The number on the app's icon; 0 takes it away."),
    click.option("--sound", help="A sound file in the app, or `default`."),
    click.option("--image", metavar="URL", help="An https address, for the app's notification service extension."),
    click.option("--data", metavar="JSON", help="What the app gets beside it, as a JSON object."),
    click.option("--thread-id", help="Notifications with the same one are grouped."),
    click.option("--collapse-id", help="A later one with the same id replaces this one (64 bytes at most)."),
    click.option("--push-type", help="alert, background, voip, …; default: alert."),
    click.option("--content", metavar="@FILE|-|JSON", help="The whole `content` of the API, as JSON."),
)
_NAMES = ("title", "subtitle", "body", "badge", "sound", "image", "thread_id", "collapse_id", "push_type")


_PLAIN_TAG = re.compile(r"\{\{-?\s*([A-Za-z_][\w-]*)\s*-?\}\}")


def plain_variables(content: Content) -> list[str]:
    """Names that stand in {{ }} by themselves, with nothing said for when there is none."""
    return _PLAIN_TAG.findall(" ".join(filter(None, (content.title, content.subtitle, content.body))))


def content_options(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command the options of a content."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def content_of(options: dict[str, Any]) -> Content:
    """The content that the options describe. Raises `click.UsageError`."""
    import msgspec

    from ..client import Content

    given = {name: options[name] for name in _NAMES if options[name] is not None}
    if options["data"] is not None:
        given["data"] = _object("--data", options["data"])
    if options["content"] is None:
        if not given:
            raise click.UsageError("say what to send: --body (and --title …), or --content @FILE")
        return Content(**given)
    if given:
        raise click.UsageError("--content is the whole content: leave --title, --body and their like away")
    whole = _object("--content", _read(options["content"]))
    try:
        content = msgspec.convert(whole, Content)
    except msgspec.ValidationError as error:
        raise click.UsageError(f"--content: {error}") from None
    for name in _unknown(content, whole):
        raise click.UsageError(f"--content: {name!r} is no field; see docs/howto/what-the-phone-shows.md")
    return content


def _unknown(struct: Any, whole: dict[str, Any]) -> Iterator[str]:
    """Fields that the client does not know: nothing is left out silently."""
    import msgspec

    fields = {field.encode_name: getattr(struct, field.name) for field in msgspec.structs.fields(struct)}
    for name, value in whole.items():
        if name not in fields:
            yield name
        elif isinstance(fields[name], msgspec.Struct):
            yield from (f"{name}.{inner}" for inner in _unknown(fields[name], value))


def _object(option: str, text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise click.UsageError(f"{option}: this is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise click.UsageError(f"{option}: expected a JSON object")
    return found


def _read(source: str) -> str:
    if source == "-":
        return sys.stdin.read()
    if not source.startswith("@"):
        return source
    try:
        return Path(source[1:]).read_text("utf-8")
    except OSError as error:
        raise click.UsageError(f"--content: {error.strerror}: {source[1:]}") from None
    except UnicodeDecodeError:
        raise click.UsageError(f"--content: {source[1:]} is not UTF-8") from None
