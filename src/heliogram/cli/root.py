"""The command group and what all commands share."""

from __future__ import annotations

import click

from .. import __version__
from .lazy import LazyGroup


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, "-V", "--version", prog_name="heliogram")
def cli() -> None:
    """Heliogram: a push notification service you run yourself.

    \b
    Try it, no Apple account needed:
      heliogram demo                 the whole way, from nothing to a notification on a virtual iPhone

    \b
    Run it:
      heliogram serve                the REST API and the delivery workers, data in ./data
      heliogram config example       a file of all settings; see also: config show, config check
      heliogram api-keys create      a key for your back end; with --profile NAME at a service elsewhere
      heliogram doctor               what is wrong, and what to do about it
      heliogram accounts create      a tenant of its own, for another team or customer
      heliogram backup DEST          a copy of the database, while it runs; see also: restore, check
      heliogram migrate-store        from one machine to PostgreSQL, which several nodes share
      heliogram simulator            an APNs of your own, for tests in any language

    \b
    Speak to a running service:
      heliogram login                keep its address and a key for the commands below
      heliogram push send            to users or tokens; push bulk: to everybody in a CSV or JSONL file
      heliogram operations watch ID  until a send has ended; heliogram tail: outcomes as they come
      heliogram explain ID           what became of one notification, why, and what to do
      heliogram apps, credentials, users, devices, channels, webhooks, audit

    \b
    Send one push straight to APNs, without the service:
      heliogram send --key-file AuthKey_ABC123DEFG.p8 --key-id ABC123DEFG --team-id DEF123GHIJ \\
                     --topic com.example.app --token 0123… --title Hi --body There
    """


COMMANDS = (
    # name, module and attribute, and the command's own first sentence; imported when it is run
    ("accounts", "accounts:accounts", "Make, list, limit and disable the accounts of an instance."),
    ("api-keys", "api_keys:api_keys", "Make, list, rotate and revoke the API keys that back ends call with."),
    ("apps", "apps:apps", "List the apps of a running service, and choose the default one."),
    (
        "audit",
        "audit:audit",
        "Tell who changed keys, apps, credentials, webhooks and the account, at a running service.",
    ),
    ("backup", "backup:backup", "Copy the database into the new file DEST, whether `heliogram serve` runs or not."),
    ("check", "check:check", "Check the database of --data, that of --store, or a backup."),
    (
        "completion",
        "completion:completion",
        "Print the script that completes commands, options and their values in bash (4.4 or newer), zsh or fish.",
    ),
    ("config", "config:config", "Show, check and begin the configuration of `heliogram serve`."),
    ("demo", "demo:demo", "Show the whole way from nothing to a notification on a virtual iPhone."),
    ("doctor", "doctor:doctor", "Look for what is wrong, and say what to do."),
    (
        "migrate-store",
        "migrate_store:migrate_store",
        "Move a running instance from its data directory into a PostgreSQL database.",
    ),
    (
        "channels",
        "channels:channels",
        "Make, list and delete broadcast channels at a running service, and broadcast to them.",
    ),
    ("credentials", "credentials:credentials", "Upload, check, rotate and revoke credentials at a running service."),
    (
        "devices",
        "devices:devices",
        "Find devices of a running service by user or token; register, import, remove them.",
    ),
    ("explain", "explain:explain", "Tell what became of a notification, device by device, why, and what to do."),
    ("login", "login:login", "Keep an API key, so that the other commands need none."),
    ("logout", "login:logout", "Forget a key that `heliogram login` kept."),
    (
        "operations",
        "operations:operations",
        "List and watch sends at a running service, cancel them, and see why notifications failed.",
    ),
    (
        "push",
        "push:push",
        "Send through a running service, to a few or to everybody in a file, and find notifications again.",
    ),
    ("tail", "tail:tail", "Follow outcomes as they come, until Ctrl-C."),
    ("users", "users:users", "Find, rename and delete users at a running service."),
    ("webhooks", "webhooks:webhooks", "Make, list, change, test and delete webhooks at a running service."),
    ("restore", "backup:restore", "Make the database of --data out of the backup SOURCE, while no service runs on it."),
    ("send", "send:send", "Send pushes straight to APNs and print what became of each."),
    ("serve", "serve:serve", "Run the REST API and the delivery workers."),
    ("simulator", "simulator:simulator", "Run an APNs of your own: no device, no developer account, any language."),
)
cli.defer((name, f"heliogram.cli.{place}", line) for name, place, line in COMMANDS)
