"""The command group and what all commands share."""

from __future__ import annotations

import click

from .. import __version__
from .accounts import accounts
from .api_keys import api_keys
from .backup import backup, restore
from .check import check
from .demo import demo
from .migrate_store import migrate_store
from .send import send
from .serve import serve
from .simulator import simulator


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, "-V", "--version", prog_name="heliogram")
def cli() -> None:
    """Heliogram: a push notification service you run yourself.

    \b
    Try it, no Apple account needed:
      heliogram demo                 the whole way, from nothing to a notification on a virtual iPhone

    \b
    Run it:
      heliogram serve                the REST API and the delivery workers, data in ./data
      heliogram api-keys create      a key for your back end
      heliogram accounts create      a tenant of its own, for another team or customer
      heliogram backup DEST          a copy of the database, while it runs; see also: restore, check
      heliogram migrate-store        from one machine to PostgreSQL, which several nodes share
      heliogram simulator            an APNs of your own, for tests in any language

    \b
    Send one push straight to APNs, without the service:
      heliogram send --key-file AuthKey_ABC123DEFG.p8 --key-id ABC123DEFG --team-id DEF123GHIJ \\
                     --topic com.example.app --token 0123… --title Hi --body There
    """


for command in (serve, simulator, api_keys, accounts, backup, restore, check, migrate_store, send, demo):
    cli.add_command(command)
