"""What is written out of the table: the page of settings, and a file to begin with."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from itertools import groupby
from typing import Final

from .kinds import Counts, Number, OneOf, Whole
from .table import SETTINGS, Setting

HEAD: Final = """# Settings

Every setting of `heliogram serve`, written by `scripts/settings-reference` out of `heliogram.configuration.table`. Each
has one name in three spellings: `--queue-shards` on the command line, `HELIOGRAM_QUEUE_SHARDS` in the environment,
`queue_shards` in the file. What is said on the command line stands over the environment, that over the file, that over
the default. How to use it: [configure.md](../howto/configure.md).
"""

_SAMPLES: Final = {
    "store": '"postgresql://heliogram@db.example/push"',
    "master_key_file": '"/etc/heliogram/master.key"',
    "queue": '["nats://nats-1.example:4222", "nats://nats-2.example:4222"]',
    "hot_team": "{ ABCDE12345 = 4 }",
    "tls_cert": '"chain.pem"',
    "tls_key": '"key.pem"',
    "trusted_proxies": '["10.0.0.2", "10.0.8.0/24"]',
    "apns_production": '"127.0.0.1:2197"',
    "apns_sandbox": '"127.0.0.1:2198"',
    "apns_manage_production": '"127.0.0.1:2196"',
    "apns_manage_sandbox": '"127.0.0.1:2195"',
    "apns_cacert": '"./data/simulator/ca.pem"',
    "apns_proxy": '"http://proxy.example:3128"',
    "max_queued_per_account": "2500000",
    "metrics": '"127.0.0.1:9464"',
}
"""Values for the example where no default can be shown."""

EXAMPLE_HEAD: Final = """\
# heliogram.toml: what `heliogram serve` and the commands beside it read. Every line here says the default, or an
# example where there is none; take away the # to change it. The environment (HELIOGRAM_QUEUE_SHARDS) and the command
# line (--queue-shards) stand over this file. A name may stand in a table of its first words: [apns] cacert = "ca.pem".
# Relative paths begin at this file. Check it with: heliogram config check
"""


def page() -> str:
    """docs/reference/settings.md."""
    parts = [HEAD]
    for group, settings in groupby(SETTINGS, key=lambda each: each.group):
        parts.append(f"\n## {group}\n")
        for setting in settings:
            parts.append("\n".join(_entry(setting)) + "\n")
    parts.append(_VARIABLES)
    return "\n".join(parts)


_VARIABLES: Final = """
## Of the environment alone

- `HELIOGRAM_CONFIG`: the file, as `--config` names it. Without either: `./heliogram.toml`, else
  `/etc/heliogram/heliogram.toml`, else none.
- `HELIOGRAM_MASTER_KEY` (secret): the master key itself, 32 random bytes in base64. It has no option, and no place in
  the file: there, and on the command line, its file is named (`master_key_file`).
- `HELIOGRAM_URL`, `HELIOGRAM_API_KEY`: the service and the key for commands that talk to a running service, see
  `heliogram push --help`.
- `HELIOGRAM_PROXY`: the way to APNs for `heliogram send`.
- `HELIOGRAM_PURE=1`: the engine without its compiled parts.
"""


def _entry(setting: Setting) -> Iterator[str]:
    yield f"### `{setting.name}`\n"
    yield setting.meaning + "\n"
    older = "".join(f" (also `{name}`)" for name in setting.older)
    yield f"- `{setting.option}`{older}, `{setting.variable}`, `{setting.name}` in the file"
    bounds = f", {setting.kind.bounds}" if setting.kind.bounds else ""
    yield f"- {setting.kind.words}{bounds}{f'; in {setting.unit}' if setting.unit else ''}"
    yield f"- default: {_default(setting)}"
    if setting.secret:
        yield (
            f"- secret: never shown. May be the content of a file that is named instead (`{setting.option}-file`,"
            f" `{setting.variable}_FILE`, `{setting.name}_file`), or the systemd credential `{setting.credential}`"
        )
    yield f"- since {setting.since}"


def _default(setting: Setting) -> str:
    words = setting.default_words
    return words if words == setting.empty else f"`{words}`"


def example() -> str:
    """A file with every setting, each a comment."""
    parts = [EXAMPLE_HEAD]
    for group, settings in groupby(SETTINGS, key=lambda each: each.group):
        parts.append(f"\n# ---- {group}\n")
        parts += ["\n".join(_commented(setting)) + "\n" for setting in settings]
    return "\n".join(parts)


def _commented(setting: Setting) -> Iterator[str]:
    bounds = f" {setting.kind.bounds.capitalize()}." if isinstance(setting.kind, Whole | Number | OneOf) else ""
    unset = setting.name in _SAMPLES
    empty = f" Default: {setting.empty}." if unset and setting.empty else ""
    text = f"{setting.meaning}{bounds}{empty}"
    yield from (f"# {line}" for line in textwrap.wrap(text, 110, break_on_hyphens=False, break_long_words=False))
    yield f"#{setting.name} = {sample(setting)}"
    if setting.secret:
        yield f'#{setting.name}_file = "/etc/heliogram/{setting.name}"    # in place of it: the file that it stands in'


def sample(setting: Setting) -> str:
    """A value as it may stand in a file: the default, if there is one."""
    if setting.name in _SAMPLES:
        return _SAMPLES[setting.name]
    default = {} if isinstance(setting.kind, Counts) else setting.default
    return setting.kind.toml(default)
