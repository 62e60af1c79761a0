"""Commands of a running service: which one and with which key, and what is said when it does not go well."""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from .address import require_no_password, shown
from .data import as_json_option
from .numbers import Whole
from .profiles import DEFAULT_URL, NAME, Profiles
from .showing import clean

if TYPE_CHECKING:
    from ..client import Heliogram, HeliogramError

_OPTIONS = (
    click.option(
        "--url",
        envvar="HELIOGRAM_URL",
        show_envvar=True,
        metavar="URL",
        help=f"The service's address. Default: that of the profile, or {DEFAULT_URL}.",
    ),
    click.option(
        "--api-key",
        envvar="HELIOGRAM_API_KEY",
        show_envvar=True,
        metavar="KEY",
        help="keyId.secret; better in the variable or in a profile (`heliogram login`), for others can read command"
        " lines.",
    ),
    click.option(
        "--profile",
        envvar="HELIOGRAM_PROFILE",
        show_envvar=True,
        metavar="NAME",
        help="Which of the services that `heliogram login` knows. Default: the one that was logged into last.",
    ),
    as_json_option,
)
RETRIES = 2
_ERRNO = re.compile(r"\[Errno -?\d+\] ")
_KEY_ID = re.compile(r"key_[0-9a-z]{1,40}")
_SCOPE = re.compile(r"lacks the scope '(\w+)'")
_LAST = re.compile(r"\[\d+\]$")
_OPTION = {
    "appName": "app",
    "externalId": "user",
    "userId": "user",
    "operationId": "operation",
    "signingKey": "key-file",
    "scopes": "scope",
    "types": "type",
    "startDate": "since",
    "endDate": "until",
}
"""Options whose names are not those of the API's fields."""


class Link:
    """The service that is spoken to. Raises `click.UsageError` when there is a password in its address."""

    def __init__(self, url: str, api_key: str, *, as_json: bool) -> None:
        require_no_password(url)
        self.url, self.as_json = url, as_json
        self.api_key = api_key

    def __repr__(self) -> str:
        return f"Link({self.url!r})"

    @property
    def key_id(self) -> str:
        """The id of the key, which is no secret; empty where it is none: somebody may have given the secret first."""
        first = self.api_key.replace(":", ".").split(".")[0]
        return first if _KEY_ID.fullmatch(first) else ""

    def client(
        self, *, raw: bool = False, retries: int = RETRIES, pause: Callable[[float], None] | None = None
    ) -> Heliogram:
        """A client; with `raw` one whose answers are what their JSON says."""
        from ..client import Heliogram

        try:
            return Heliogram(self.url, self.api_key, raw=raw, retries=retries, pause=pause or time.sleep)
        except ValueError as error:
            text = str(error).replace("url:", "--url:", 1).replace("api_key:", "--api-key:", 1)
            raise click.UsageError(text) from None

    def show(self, ask: Callable[[Heliogram], Any], told: Callable[[Any], object]) -> None:
        """Asks and prints: the answer as it is with --json, in words without."""
        from .options import print_json

        with self.client(raw=self.as_json) as client:
            answer = ask(client)
        if self.as_json:
            print_json(answer)
        else:
            told(answer)

    def change(self, ask: Callable[[Heliogram], Any], done: str) -> None:
        """Does something, and says that it is done."""
        self.show(ask, lambda _: click.echo(done))

    def show_list(self, ask: Callable[[Heliogram], Any], told: Callable[[list[Any]], object], *, limit: int) -> None:
        """Prints the first entries of a list, and says so when there are more. 0 is no limit."""
        from .options import print_json

        entries: list[Any] = []
        more = False
        with self.client(raw=self.as_json) as client:
            for entry in ask(client):
                if limit and len(entries) == limit:
                    more = True
                    break
                entries.append(entry)
        if self.as_json:
            print_json(entries)
        else:
            told(entries)
        if more:
            click.echo(f"These are the first {limit}; --limit 0 shows all.", err=True)


def page_size(limit: int) -> int:
    """Entries to ask for at once: one more than are shown, to know whether there are more."""
    return min(1000, limit + 1) if limit else 1000


limit_option = click.option(
    "--limit", type=Whole(min=0), default=100, show_default=True, help="At most so many; 0: all there are."
)
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


def connected(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command the options of a connection, and itself a `Link` as its first argument."""

    @functools.wraps(command)
    def run(url: str | None, api_key: str | None, profile: str | None, as_json: bool, **rest: Any) -> None:
        source = click.get_current_context().get_parameter_source
        if source("profile") is ParameterSource.COMMANDLINE:  # who names a profile means it, whatever the variables say
            url = url if source("url") is ParameterSource.COMMANDLINE else None
            api_key = api_key if source("api_key") is ParameterSource.COMMANDLINE else None
        with told_in_words() as trouble:
            trouble.link = link_to(url, api_key, profile, as_json=as_json)
            command(trouble.link, **rest)

    for option in reversed(_OPTIONS):
        run = option(run)
    return run


def link_to(url: str | None, api_key: str | None, profile: str | None, *, as_json: bool) -> Link:
    """The service that the options name; what they leave out is the profile's."""
    if profile is not None and not NAME.fullmatch(profile):
        raise click.UsageError("--profile: expected 1 to 64 of A-Z, a-z, 0-9, '-' and '_'")
    if api_key and (url or profile is None):
        return Link(url or DEFAULT_URL, api_key, as_json=as_json)
    known = Profiles.read()
    name = profile or known.default
    found = known.profiles.get(name) if name is not None else None
    if profile is not None and found is None:
        have = ", ".join(sorted(known.profiles)) or "none yet"
        raise click.UsageError(
            f"--profile: there is no profile {profile!r} (there is: {have}); see: heliogram login --help"
        )
    if found is None:
        raise click.UsageError(
            "no API key: give it in HELIOGRAM_API_KEY, or keep it with `heliogram login`; `heliogram api-keys create`,"
            " beside the service, makes one"
        )
    if url is not None and url.rstrip("/") != found.url.rstrip("/") and not api_key:
        raise click.UsageError(
            f"--url: the key of profile {name!r} is for {shown(found.url)}; give --api-key for another service"
        )
    if url is None and "@" in found.url:  # which an older `login` kept
        cure = "keep it anew with: heliogram login --url http://host:port"
        raise click.UsageError(
            f"the url of profile {name!r} has a user name or password in it, {shown(found.url)}: {cure}"
        )
    return Link(url or found.url, api_key or found.api_key, as_json=as_json)


class Trouble:
    """What is known when something goes wrong."""

    link: Link | None = None


@contextmanager
def told_in_words() -> Iterator[Trouble]:
    """Says what the service or the way to it refused, in a line that names the field and the cure."""
    trouble = Trouble()
    try:
        yield trouble
    except click.ClickException:
        raise
    except ValueError as error:  # of the client: an argument that cannot be right
        raise click.UsageError(str(error)) from None
    except Exception as error:
        from ..client import HeliogramError

        if not isinstance(error, HeliogramError):
            raise
        raise click.ClickException(words(error, trouble.link)) from None


def words(error: HeliogramError, link: Link | None) -> str:
    """An error for whoever sits at the terminal, which obeys nothing of it: who answered may be anybody."""
    return "\n".join(map(clean, _words(error, link).split("\n")))


def _words(error: HeliogramError, link: Link | None) -> str:
    url, key = ("it", "") if link is None else (link.url, f" {link.key_id}".rstrip())
    if error.status == 0:
        cure = "Does `heliogram serve` run there? --url or HELIOGRAM_URL names another address"
        return f"{error.title}: {_ERRNO.sub('', error.detail)}. {cure}"
    if error.status == 401:
        return (
            f"{url} does not take the API key{key}: it is wrong, revoked or expired. `heliogram api-keys list`, beside"
            " the service, tells; `heliogram login` keeps another one"
        )
    lacking = _SCOPE.search(error.detail) if error.status == 403 else None
    if lacking is not None:
        scope = lacking[1]
        return (
            f"the key{key} lacks the scope {scope}; `heliogram api-keys create --scope {scope}` makes one that has it"
        )
    if error.status == 429 or error.status >= 500:
        wait = "" if error.retry_after is None else f" Try again in {error.retry_after:g} s."
        return f"{error.title}: {error.detail}{wait}"
    named = [f"{_field(each.context)}: {each.message}" for each in error.errors if each.context]
    return "\n       ".join(named) or error.detail.replace("'externalId:", "'") or error.title


def _field(context: str | None) -> str:
    """The option that a field was given by, if it was; else the field's place in the request."""
    field = (context or "").removeprefix("$.").removeprefix("query.")
    name = _LAST.sub("", field.rpartition(".")[2])
    option = "--" + _OPTION.get(name, re.sub("([A-Z])", r"-\1", name).lower())
    ctx = click.get_current_context(silent=True)
    if ctx is None:
        return field
    given = [
        each
        for each in ctx.command.params
        if option in each.opts and ctx.get_parameter_source(each.name or "") is ParameterSource.COMMANDLINE
    ]
    several = any(
        isinstance(ctx.params.get(each.name or ""), tuple) and len(ctx.params[each.name or ""]) > 1 for each in given
    )
    return option if given and not several else field
