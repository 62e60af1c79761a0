"""`heliogram serve`."""

from __future__ import annotations

from pathlib import Path

import click

from ..domain.backlog import DEFAULT_QUEUED, LEAST_QUEUED, MAX_QUEUED
from ..domain.shards import DEFAULT_SHARDS, MAX_SHARDS
from ..settings import (
    LEASE_SECONDS,
    LEAST_LEASE_SECONDS,
    MAX_DRAIN_SECONDS,
    MAX_LEASE_SECONDS,
    MAX_RETENTION_DAYS,
    MAX_SENDERS,
    MAX_STORE_CONNECTIONS,
    QUEUE_SCHEMES,
    STORE_CONNECTIONS,
    Address,
    Role,
    ServeSettings,
    SettingsError,
    Url,
    parse_hot_teams,
    parse_roles,
    parse_urls,
)
from .options import ADDRESS, FILE, data_option, print_json, store_option


@click.command()
@data_option
@store_option
@click.option(
    "--store-connections",
    type=click.IntRange(2, MAX_STORE_CONNECTIONS),
    default=STORE_CONNECTIONS,
    show_default=True,
    envvar="HELIOGRAM_STORE_CONNECTIONS",
    help="The most connections of this node to --store.",
)
@click.option(
    "--lease-seconds",
    type=click.IntRange(LEAST_LEASE_SECONDS, MAX_LEASE_SECONDS),
    default=LEASE_SECONDS,
    show_default=True,
    envvar="HELIOGRAM_LEASE_SECONDS",
    help="With --store: so long after a node died or was cut off the others take over what it had in hand. Give all"
    " nodes the same, and let their clocks differ by much less.",
)
@click.option(
    "--queue",
    metavar="URL",
    envvar="HELIOGRAM_QUEUE",
    show_envvar=True,
    help="nats://host:4222, a NATS JetStream that hands out work, beside --store; several servers with commas between.",
)
@click.option(
    "--queue-shards",
    type=click.IntRange(1, MAX_SHARDS),
    default=DEFAULT_SHARDS,
    show_default=True,
    envvar="HELIOGRAM_QUEUE_SHARDS",
    help="With --queue: into how many shards teams are divided. Give all nodes the same.",
)
@click.option(
    "--hot-team",
    "hot_teams",
    metavar="TEAM=N",
    multiple=True,
    help="With --queue: this team is too much for one worker, and gets N shards; may be given again.",
)
@click.option(
    "--role",
    "role",
    default="all",
    show_default=True,
    envvar="HELIOGRAM_ROLE",
    help="What this node does, with --store: api, worker, dispatcher, several with commas between, or all.",
)
@click.option(
    "--listen",
    type=ADDRESS,
    default="127.0.0.1:8080",
    show_default=True,
    envvar="HELIOGRAM_LISTEN",
    help="Where the REST API listens, or /health of a node without it. Beyond loopback: TLS or --behind-proxy.",
)
@click.option("--tls-cert", type=FILE, help="Serve HTTPS with this certificate chain (PEM).")
@click.option("--tls-key", type=FILE, help="The private key of --tls-cert (PEM).")
@click.option("--behind-proxy", is_flag=True, help="A proxy in front speaks TLS: allow plain HTTP beyond loopback.")
@click.option("--apns-production", type=ADDRESS, help="An APNs in place of Apple's, for production tokens.")
@click.option("--apns-sandbox", type=ADDRESS, help="An APNs in place of Apple's, for sandbox tokens.")
@click.option("--apns-manage-production", type=ADDRESS, help="Its channel management, production.")
@click.option("--apns-manage-sandbox", type=ADDRESS, help="Its channel management, sandbox.")
@click.option("--apns-cacert", type=FILE, help="Trust this CA for the APNs above (the simulator's ca.pem).")
@click.option("--master-key", type=FILE, help="The key that seals secrets; default: made once in --data.")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="How much goes to standard error.",
)
@click.option(
    "--drain-seconds",
    type=click.FloatRange(0, MAX_DRAIN_SECONDS),
    default=30,
    show_default=True,
    help="How long SIGTERM waits for pushes that are under way.",
)
@click.option(
    "--senders",
    type=click.IntRange(0, MAX_SENDERS),
    default=0,
    show_default=True,
    envvar="HELIOGRAM_SENDERS",
    help="Processes beside this one that send to more than 100 recipients: one for each core to spare.",
)
@click.option(
    "--max-queued",
    type=click.IntRange(LEAST_QUEUED, MAX_QUEUED),
    default=DEFAULT_QUEUED,
    show_default=True,
    envvar="HELIOGRAM_MAX_QUEUED",
    help="The most recipients that may wait to be sent to; what is more is answered 429.",
)
@click.option(
    "--max-queued-per-account",
    type=click.IntRange(LEAST_QUEUED, MAX_QUEUED),
    show_default="half of --max-queued",
    envvar="HELIOGRAM_MAX_QUEUED_PER_ACCOUNT",
    help="The most of one account.",
)
@click.option(
    "--retention-days",
    type=click.IntRange(1, MAX_RETENTION_DAYS),
    default=7,
    show_default=True,
    envvar="HELIOGRAM_RETENTION_DAYS",
    help="How long operations, their notifications and results are kept after their end, and deleted users.",
)
@click.option(
    "--webhooks-allow-private",
    is_flag=True,
    help="Let webhooks go to loopback and private networks, never to link-local or metadata addresses.",
)
@click.option("--webhooks-allow-http", is_flag=True, help="Let webhooks go to http:// addresses: anyone may read them.")
@click.option("--json", "as_json", is_flag=True, help="Print the ready line as JSON.")
def serve(
    data: Path,
    store: Url | None,
    store_connections: int,
    lease_seconds: int,
    queue: str | None,
    queue_shards: int,
    hot_teams: tuple[str, ...],
    role: str,
    listen: Address,
    tls_cert: Path | None,
    tls_key: Path | None,
    behind_proxy: bool,
    apns_production: Address | None,
    apns_sandbox: Address | None,
    apns_manage_production: Address | None,
    apns_manage_sandbox: Address | None,
    apns_cacert: Path | None,
    master_key: Path | None,
    log_level: str,
    drain_seconds: float,
    senders: int,
    max_queued: int,
    max_queued_per_account: int | None,
    retention_days: int,
    webhooks_allow_private: bool,
    webhooks_allow_http: bool,
    as_json: bool,
) -> None:
    """Run the REST API and the delivery workers.

    Prints one line when it is ready. SIGTERM or Ctrl-C stops taking requests, finishes what is under way and exits 0;
    what is still queued goes on at the next start. A second one ends at once, and loses nothing either.

    One process uses one core. Where campaigns should go out faster, and there are cores to spare, --senders N starts N
    further processes that send them: one less than there are cores is a good number. The API and small sends stay with
    this process.

    Several nodes share a PostgreSQL database: start each with the same --store and the same --master-key, and say with
    --role what it does. Without --role every node does everything.

    \b
    On your own machine, with the simulator in place of Apple:
      heliogram simulator --data ./data/simulator &
      heliogram serve --apns-production 127.0.0.1:2197 --apns-sandbox 127.0.0.1:2198 \\
                      --apns-cacert ./data/simulator/ca.pem
    """
    try:
        settings = ServeSettings(
            data=data,
            store=store,
            store_connections=store_connections,
            lease_seconds=lease_seconds,
            queue=parse_urls(queue or "", option="--queue", schemes=QUEUE_SCHEMES),
            queue_shards=queue_shards,
            hot_teams=parse_hot_teams(hot_teams),
            roles=parse_roles(role),
            listen=listen,
            tls_cert=tls_cert,
            tls_key=tls_key,
            behind_proxy=behind_proxy,
            apns_production=apns_production,
            apns_sandbox=apns_sandbox,
            apns_manage_production=apns_manage_production,
            apns_manage_sandbox=apns_manage_sandbox,
            apns_cacert=apns_cacert,
            master_key=master_key,
            log_level=log_level,
            drain_seconds=drain_seconds,
            senders=senders,
            max_queued=max_queued,
            max_queued_per_account=max_queued_per_account,
            retention_days=retention_days,
            webhooks_allow_private=webhooks_allow_private,
            webhooks_allow_http=webhooks_allow_http,
        )
        settings.check()
    except SettingsError as error:
        raise click.UsageError(str(error)) from None

    from ..app import StartError, run  # late: the imports of the server take a while, --help should not

    def ready(url: str) -> None:
        if as_json:
            print_json({"ready": True, "url": url, "data": str(data)})
        elif Role.API not in settings.roles:
            roles = " and ".join(sorted(settings.roles))
            click.echo(f"heliogram ({roles}) is ready: {url}/health/ready says how it is")
        elif settings.store is not None:
            click.echo(f"heliogram is ready at {url} (documentation at {url}/docs, data in {settings.store})")
        else:
            click.echo(f"heliogram is ready at {url} (documentation at {url}/docs, data in {data})")

    try:
        run(settings, ready)
    except StartError as error:
        raise click.ClickException(str(error)) from None
