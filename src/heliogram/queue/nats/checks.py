"""Before anything goes through the broker: is it new enough, is it safe, is everything there?"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any

import structlog

from .errors import ApiRefused, JetStreamMissing, QueueDown, ServerTooOld, UnsafeQueue
from .layout import LEAST_AGE_S, Layout
from .link import MAKE_SECONDS, REQUEST_SECONDS, START_SECONDS, TRY_SECONDS, Link

log = structlog.get_logger(__name__)

LEAST_VERSION = (2, 12)
SYNC_SECONDS = 0.5
LIST_SECONDS = 6.0
"""A server waits four seconds for what the leaders of consumers tell, and then says who told nothing."""
AGAIN_SECONDS = 0.5
SAFE_REPLICAS = 3
_CONSUMER_KEYS = ("filter_subject", "ack_policy", "priority_groups", "priority_policy")
_PAGE = 256
_S = 10**9


async def prepared(link: Link, layout: Layout, *, grace: float = START_SECONDS) -> tuple[int, set[str]]:
    """As `prepare`, once the servers can answer: they are waited for so many seconds, by the same time as answers."""
    loop = asyncio.get_running_loop()
    until = loop.time() + grace
    while True:
        try:
            return await prepare(link, layout)
        except (QueueDown, ApiRefused) as error:
            if isinstance(error, ApiRefused) and not error.is_passing:
                raise
            left = until - loop.time()
            if left <= 0:
                raise QueueDown(f"{error}; waited {grace:g} s for the servers to agree on who leads") from None
            log.warning("queue.waiting", what=str(error), left=round(left, 1))
            await asyncio.sleep(min(left, AGAIN_SECONDS))


async def prepare(link: Link, layout: Layout) -> tuple[int, set[str]]:
    """Checks the server, makes what is missing and checks the rest. How many servers keep each stream, and the streams
    that were made.

    Raises `ServerTooOld`, `JetStreamMissing` and `UnsafeQueue`, `QueueDown` when nobody answers.
    """
    check_version(str(link.info.get("version", "")))
    await _check_jetstream(link)
    servers = await _check_sync(link)
    clustered = servers > 1 or bool(link.info.get("cluster")) or len(link.info.get("connect_urls") or ()) > 1
    replicas = layout.replicas or (SAFE_REPLICAS if clustered else 1)
    if clustered and replicas < SAFE_REPLICAS:
        raise UnsafeQueue(
            f"replicas: {replicas} in a cluster: the streams would be gone with one server; "
            f"set {SAFE_REPLICAS}, or leave it out"
        )
    made = await restore(link, layout, replicas, check=True)
    for name in layout.streams:
        info = await link.api(f"STREAM.INFO.{name}")
        _check_stream(layout, info["config"], replicas if clustered else 1)
    return replicas, made


async def restore(link: Link, layout: Layout, replicas: int, *, check: bool = False) -> set[str]:
    """Makes streams, consumers and shards that are not there; the streams that were. Several may do so at once. Without
    `check` it is quick where nothing is missing, or where nobody can tell. Raises `UnsafeQueue` for a consumer that is
    not what it should be: one that was made now, with `check` one of all."""
    made, seconds = set[str](), REQUEST_SECONDS if check else TRY_SECONDS
    for name in layout.streams:
        try:
            await link.api(f"STREAM.INFO.{name}", seconds=seconds)
        except ApiRefused as error:
            if not error.is_missing:
                raise
            await _make(link, f"STREAM.CREATE.{name}", layout.stream_config(name, replicas))
            made.add(name)
            log.info("queue.stream_made", stream=name, replicas=replicas)
        await _restore_consumers(link, layout, name, check=check)
    await _restore_shards(link, layout, seconds)
    return made


async def _restore_consumers(link: Link, layout: Layout, stream: str, *, check: bool) -> None:
    wanted_all = layout.consumers(stream)
    there, silent = await _consumers(link, stream) if check else ({}, await _names(link, stream))
    missing = [wanted for name, wanted in wanted_all.items() if name not in there and name not in silent]
    made = await asyncio.gather(*[_make_consumer(link, stream, wanted) for wanted in missing])
    for config in made:
        there[config["name"]] = config
    for name, config in there.items():
        wanted = wanted_all.get(name, config)  # somebody else's
        for key in _CONSUMER_KEYS:
            if config.get(key) != wanted.get(key):
                raise UnsafeQueue(
                    f"consumer {name} of stream {stream}: {key} is {config.get(key)!r} instead of {wanted.get(key)!r}; "
                    f"delete it (`nats consumer rm {stream} {name}`), it is made anew and nothing is lost"
                )


async def _make(link: Link, subject: str, body: dict[str, Any]) -> dict[str, Any]:
    """Asks again where no answer comes: a leader that steps down never answers what it was asked, while the next one
    would at once; and to make what is there changes nothing."""
    return await link.api(subject, body, seconds=MAKE_SECONDS, each=REQUEST_SECONDS)


async def _make_consumer(link: Link, stream: str, wanted: dict[str, Any]) -> dict[str, Any]:
    subject = f"CONSUMER.CREATE.{stream}.{wanted['name']}.{wanted['filter_subject']}"
    made = await _make(link, subject, {"stream_name": stream, "config": wanted})
    config: dict[str, Any] = made["config"]
    return config


async def _consumers(link: Link, stream: str) -> tuple[dict[str, dict[str, Any]], set[str]]:
    """What the servers tell of consumers, and the names of those whose leader is just being chosen: they are there, but
    nobody answers for them, and to make them again would wait as long as that lasts."""
    found: dict[str, dict[str, Any]] = {}
    silent = set[str]()
    offset = 0
    while True:
        page = await link.api(f"CONSUMER.LIST.{stream}", {"offset": offset}, seconds=LIST_SECONDS, each=LIST_SECONDS)
        listed = page.get("consumers") or []
        found |= {consumer["name"]: consumer["config"] for consumer in listed}
        missing = page.get("missing") or []
        silent.update(missing)
        offset += len(listed) + len(missing)
        if not (listed or missing) or offset >= page.get("total", 0):
            return found, silent - found.keys()


async def _names(link: Link, stream: str) -> set[str]:
    """The names of a stream's consumers, for which nobody but the leader of all is asked."""
    names = set[str]()
    while True:
        page = await link.api(f"CONSUMER.NAMES.{stream}", {"offset": len(names)}, seconds=TRY_SECONDS)
        listed = page.get("consumers") or []
        names.update(listed)
        if not listed or len(names) >= page.get("total", 0):
            return names


async def _restore_shards(link: Link, layout: Layout, seconds: float) -> None:
    filter_ = {"subjects_filter": layout.shard_subject("*")}
    info = await link.api(f"STREAM.INFO.{layout.shard_stream}", filter_, seconds=seconds)
    there = info["state"].get("subjects") or {}
    for shard in range(layout.shards):
        if layout.shard_subject(shard) not in there:
            try:
                await link.request(layout.shard_subject(shard), b"")
            except ApiRefused as error:
                if error.number != ApiRefused.SUBJECT_FULL:  # somebody else was quicker
                    raise


def check_version(version: str) -> None:
    """Raises `ServerTooOld` below 2.12: priorities are there since then, and older servers ignore them silently."""
    found = re.match(r"v?(\d+)\.(\d+)", version)
    if found is None or (int(found[1]), int(found[2])) < LEAST_VERSION:
        raise ServerTooOld(
            f"the NATS server is {version or 'of unknown version'}: expected 2.12 or newer, for an older one takes "
            "priority groups without a word and ignores them; upgrade it (Debian's package is too old)"
        )


async def _check_jetstream(link: Link) -> None:
    cure = "enable it (`jetstream { store_dir: … }`), for the account that is used here too"
    if not link.info.get("jetstream"):
        raise JetStreamMissing(f"the NATS server has no JetStream: {cure}")
    try:
        await link.api("INFO")
    except ApiRefused as error:
        if error.number in ApiRefused.NOBODY_LEADS:
            raise
        raise JetStreamMissing(f"JetStream is not there for this account ({error.description}): {cure}") from None


async def _check_sync(link: Link) -> int:
    """How many servers have JetStream, as far as they tell: only where the system account's service is imported. Raises
    `UnsafeQueue` when one of them does not write through."""
    answers = await link.gather("$SYS.REQ.SERVER.PING.JSZ", b'{"config":true}', seconds=SYNC_SECONDS)
    for answer in answers:
        check_sync(answer)
    if not answers:
        log.info("queue.sync_not_seen", cure="import $SYS.REQ.SERVER.PING.JSZ into the account to have it checked")
    return len(answers)


def check_sync(answer: Mapping[str, Any]) -> None:
    """Raises `UnsafeQueue` when a server keeps what it acknowledged in memory for a while."""
    config = (answer.get("data") or {}).get("config")
    if config is None or config.get("sync_always"):
        return
    name, seconds = answer.get("server", {}).get("name", "?"), config.get("sync_interval", 0) / _S
    raise UnsafeQueue(
        f"NATS server {name} writes to disk every {seconds:g} s: a power cut loses what it acknowledged since; "
        "set `sync_interval: always` in its `jetstream` block"
    )


def _check_stream(layout: Layout, config: Mapping[str, Any], least_replicas: int) -> None:
    name = config["name"]
    for problem in stream_problems(layout, config, least_replicas):
        raise UnsafeQueue(
            f"stream {name}: {problem}; change it (`nats stream edit {name}`), or delete it: it is made anew, and what "
            "it carried is sent out again from the store"
        )


def stream_problems(layout: Layout, config: Mapping[str, Any], least_replicas: int) -> list[str]:
    """What is wrong with a stream's settings."""
    wanted = layout.stream_config(config["name"], least_replicas)
    age, window = config.get("max_age", 0) / _S, config.get("duplicate_window", 0) / _S
    replicas = config.get("num_replicas", 1)
    problems = []
    if config.get("storage") != "file":
        problems.append(
            f"storage is {config.get('storage')}, and a restart of the server would empty it: expected file"
        )
    if replicas < least_replicas:
        problems.append(f"num_replicas is {replicas} in a cluster: expected {least_replicas}")
    if 0 < age < LEAST_AGE_S:
        problems.append(f"max_age is {age:g} s, and work that waits longer is dropped: expected 0 or {LEAST_AGE_S} s")
    if window < layout.least_window_s:
        problems.append(f"duplicate_window is {window:g} s: expected {layout.least_window_s:g} s, twice the lease")
    if config.get("max_deliver", -1) > 0 or config.get("no_ack"):
        problems.append("no_ack is set: expected publishing to be acknowledged")
    if config.get("discard") != "new" and any(config.get(key, -1) > 0 for key in ("max_msgs", "max_bytes")):
        problems.append("discard is old with a limit, and the oldest work is dropped: expected new")
    for key in ("retention", "subjects"):
        if config.get(key) != wanted[key]:
            problems.append(f"{key} is {config.get(key)!r}: expected {wanted[key]!r}")
    return problems
