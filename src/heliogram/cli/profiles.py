"""Which service the commands speak to, and with which key, as kept in `~/.config/heliogram/config.toml`, mode 0600."""

from __future__ import annotations

import json
import os
import re
import stat
import tomllib
from pathlib import Path
from typing import NamedTuple

import click

from .address import shown

DEFAULT_URL = "http://127.0.0.1:8080"
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Profile(NamedTuple):
    """A service and a key for it."""

    url: str
    api_key: str

    def __repr__(self) -> str:
        return f"Profile({shown(self.url)!r})"


class Profiles:
    """The file: profiles by name, and which one is used when none is named."""

    def __init__(self, file: Path, default: str | None, profiles: dict[str, Profile]) -> None:
        self.file, self.default, self.profiles = file, default, profiles

    def __repr__(self) -> str:
        return f"Profiles({str(self.file)!r}, {len(self.profiles)} profiles)"

    @classmethod
    def read(cls) -> Profiles:
        """The user's file; an empty one when there is none. Raises `click.ClickException`, which never repeats what
        stands in it."""
        file = place()
        try:
            with file.open("rb") as opened:
                if os.fstat(opened.fileno()).st_mode & (stat.S_IRGRP | stat.S_IROTH):
                    click.echo(f"warning: others can read {file}, which holds keys; run: chmod 600 {file}", err=True)
                found = tomllib.load(opened)
            profiles = {
                str(name): Profile(str(one["url"]), str(one["api_key"]))
                for name, one in found.get("profiles", {}).items()
            }
            default = found.get("default")
        except FileNotFoundError:
            return cls(file, None, {})
        except OSError as error:
            raise click.ClickException(f"{file}: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
            hint = "expected [profiles.NAME] with url and api_key; make it anew with: heliogram login"
            raise click.ClickException(f"{file} is not as `heliogram login` writes it: {hint}") from None
        return cls(file, default if isinstance(default, str) else None, profiles)

    def write(self) -> None:
        """Writes the file, readable by its owner alone, whole or not at all."""
        lines = [] if self.default is None else [f"default = {_text(self.default)}", ""]
        for name, profile in sorted(self.profiles.items()):
            key = name if NAME.fullmatch(name) else _text(name)  # which somebody has written by hand
            lines += [f"[profiles.{key}]", f"url = {_text(profile.url)}", f"api_key = {_text(profile.api_key)}", ""]
        beside = self.file.with_name(f"{self.file.name}.{os.getpid()}.new")
        try:
            self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as opened:
                opened.write("# Written by `heliogram login`. It holds keys.\n" + "\n".join(lines))
            beside.replace(self.file)
        except OSError as error:
            raise click.ClickException(f"{self.file}: {error.strerror}") from None


def place() -> Path:
    """The file of the user: below XDG_CONFIG_HOME, or ~/.config."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "heliogram" / "config.toml"


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
