"""A running service with the simulator behind it, and the `heliogram` command against it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from support.stack import BUNDLE, BackEnd, Phone, Phones, service, simulator

from heliogram.cli.root import cli
from heliogram.client import CredentialContent, Heliogram, KeyScope


class Remote:
    """Service, simulator and a key that may do everything."""

    def __init__(self, url: str, data: Path, phones: Phones) -> None:
        self.url, self.data, self.phones = url, data, phones
        self.back_end = BackEnd(url, data)
        self.key = ".".join(self.back_end.key)
        self.client = Heliogram(url, self.key)

    def credential(self, app: str) -> str:
        """Makes an app with a credential that the simulator knows; the credential's id."""
        return self.back_end.credential(self.phones.key(), app=app)

    def content(self) -> CredentialContent:
        """A new signing key, as a credential's content."""
        key = self.phones.key()
        return CredentialContent(
            signing_key=key["p8"], key_id=key["keyId"], team_id=key["teamId"], bundle_id=BUNDLE, key_scope=KeyScope.TEAM
        )

    def phone(self, app: str, external_id: str) -> tuple[Phone, str]:
        """A phone whose user is registered under that name: it, and its token."""
        phone = self.phones.phone()
        token = phone.launch()
        self.client.registrations.create(app, token, external_id=external_id)
        return phone, token

    def run(self, *words: str, input: str | None = None, env: dict[str, str] | None = None) -> Result:  # noqa: A002
        """`heliogram` with these words, its settings in the environment."""
        settings: dict[str, str | None] = {
            **{name: None for name in os.environ if name.startswith("HELIOGRAM_")},
            "HELIOGRAM_URL": self.url,
            "HELIOGRAM_API_KEY": self.key,
            "XDG_CONFIG_HOME": str(self.data / "no-profiles"),
            **(env or {}),
        }
        return CliRunner().invoke(cli, words, input=input, env=settings)

    def ok(self, *words: str, input: str | None = None) -> str:  # noqa: A002
        """The same; it succeeds, and this is what it prints."""
        done = self.run(*words, input=input)
        assert done.exit_code == 0, done.output
        return done.stdout

    def json(self, *words: str) -> Any:
        """The same with `--json`."""
        return json.loads(self.ok(*words, "--json"))

    def close(self) -> None:
        """Closes connections."""
        self.client.close()
        self.back_end.close()


@contextmanager
def remote(directory: Path) -> Iterator[Remote]:
    """All of it, as children."""
    with simulator(directory) as apns, service(directory, apns.ready) as program:
        phones = Phones(apns)
        made = Remote(program.ready["url"], directory / "data", phones)
        try:
            yield made
        finally:
            made.close()
            phones.close()
