"""Moving the instance in a data directory into a PostgreSQL database: what the move asks of the directory and of the
service in it. How rows are copied is `store/moving`'s."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import os
import secrets
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec

from .datadir import DATABASE, MOVED, StartError, is_served, own_data_directory, pid_of_service, require_here
from .durable import sync
from .observe.clock import SystemClock
from .pacing import pause
from .security import KeyRing, MasterKeyError, load_master_key
from .security.masterkey import ENVIRONMENT, FILE_NAME
from .settings import Url
from .store.moving.errors import MoveRefused
from .store.moving.move import Move, Outcome, give_up
from .store.moving.source import Source, require_source, stamp
from .store.moving.target import Target, explained
from .store.moving.telling import Report

LOOK_SECONDS = 0.1
"""How often is looked whether the service has been stopped."""
FOLLOW_SECONDS = 1.0
"""Meanwhile what changes is copied this often, so that the rest stays small."""


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """A move that is over. `key` says where the master key is that nodes need. `outcome` is None when a run before did
    it, and was interrupted before it could say so."""

    place: str
    key: KeyRing
    seconds: float
    pause_seconds: float = 0.0
    outcome: Outcome | None = None


class _Marker(msgspec.Struct):
    """What `moved.json` says: see `datadir.require_here`."""

    move: str
    to: str
    at: str
    done: bool = False


async def migrate_store(
    data: Path, url: Url, report: Report, *, master_key: Path | None = None, stop: bool = False, whole: bool = False
) -> Moved:
    """Moves it, or goes on with what a run before began. Waits for the service to be stopped when all but the last
    changes are copied, or stops it (`stop`: by SIGTERM, which lets it drain). `whole` compares all rows once more while
    it stands still. Raises `StartError`, `StoreError` or `MasterKeyError`."""
    begun, origin = time.monotonic(), _name_of(data)
    require_source(data / DATABASE)
    with _alone(data):
        key = _key_of(data, master_key)
        async with _both(data, url) as (source, target):
            if source.move() is None:
                require_here(data)  # it was moved already
            _require_keys(source, key)
            move, now = Move(source, target, report), int(SystemClock().time() * 1000)
            if not await move.begin(secrets.token_bytes(16), origin, now):
                with own_data_directory(data, moved=True):
                    _mark(data, source, target, done=True)
                    await move.clean()
                return Moved(place=target.place, key=key, seconds=time.monotonic() - begun)
            await move.copy()
            with contextlib.ExitStack() as held:
                await _take_over(held, data, move, report, stop)
                still = time.monotonic()
                report("phase", phase="last")
                now = int(SystemClock().time() * 1000)
                mark = functools.partial(_mark, data, source, target)
                outcome = await move.finish(key.first.id, now, mark, whole=whole)
            ended = time.monotonic()
            return Moved(
                place=target.place, key=key, seconds=ended - begun, pause_seconds=ended - still, outcome=outcome
            )


async def abort(data: Path, url: Url | None) -> None:
    """Gives a move up, finished or not: nothing is noted any more, `serve` has the data directory again, and the
    target, if there is any, is not one to work on. Raises `StartError` or `StoreError`."""
    require_source(data / DATABASE)
    with _alone(data):
        marker = _marker(data)
        if marker is not None and url is None:
            raise StartError(
                f"the last step of the move to {marker.to} was begun: name it with --to, so that no node works there"
                f" while this one does; if it does not exist any more, remove {data / MOVED} by hand"
            )
        source = Source(data / DATABASE)
        try:
            ident = source.move() or (None if marker is None else bytes.fromhex(marker.move))
            if ident is None:
                raise StartError(f"nothing is being moved from {data}, and nothing was")
            target = None if url is None else await Target.connect(url.text)
            try:
                with _explained("" if target is None else target.place):
                    await give_up(source, target, ident)
            finally:
                if target is not None:
                    await target.close()
            (data / MOVED).unlink(missing_ok=True)
            sync(data)
        finally:
            source.close()


@contextlib.asynccontextmanager
async def _both(data: Path, url: Url) -> AsyncIterator[tuple[Source, Target]]:
    target = await Target.connect(url.text)
    try:
        source = Source(data / DATABASE)
        try:
            with _explained(target.place):
                yield source, target
        finally:
            source.close()
    finally:
        await target.close()


@contextlib.contextmanager
def _explained(place: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        told = explained(error, place)
        if told is error:
            raise
        raise told from error


def _name_of(data: Path) -> str:
    return f"sqlite:{data.resolve()}"


@contextlib.contextmanager
def _alone(data: Path) -> Iterator[None]:
    """One move at a time from a data directory."""
    handle = os.open(data / "move.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise StartError(f"another `heliogram migrate-store` is at work on {data}: let it end, or stop it") from error
    finally:
        os.close(handle)


def _key_of(data: Path, file: Path | None) -> KeyRing:
    try:
        return load_master_key(data, file=file, make=False)
    except MasterKeyError as error:
        if file is not None or os.environ.get(ENVIRONMENT) or (data / FILE_NAME).exists():
            raise
        raise StartError(
            f"there is no {data / FILE_NAME}: name the master key that the service has with --master-key; nodes need it"
            " to open what is moved"
        ) from error


def _require_keys(source: Source, key: KeyRing) -> None:
    missing = source.sealed_with() - {each.id for each in key.keys}
    if missing:
        raise MoveRefused(
            f"secrets are sealed with the master key {', '.join(sorted(each.hex() for each in missing))}, and"
            f" {key.where} is another: give the one that the service has with --master-key"
        )


async def _take_over(held: contextlib.ExitStack, data: Path, move: Move, report: Report, stop: bool) -> None:
    """Waits until no service runs, copying on meanwhile, and holds the data directory from then on."""
    clock, told, asked = SystemClock(), False, set[int]()
    while True:
        followed = time.monotonic()
        while is_served(data):
            pid = pid_of_service(data)
            if not told:
                told = True
                report("waiting", pid=pid, stops=stop)
            if stop and pid is not None and pid not in asked:
                asked.add(pid)
                _ask_to_stop(pid)
            if time.monotonic() - followed >= FOLLOW_SECONDS:
                await move.follow()
                followed = time.monotonic()
            await pause(clock, LOOK_SECONDS)
        try:
            held.enter_context(own_data_directory(data, moved=True))
        except StartError:
            if not is_served(data):
                raise
            continue  # it was started again
        return


def _ask_to_stop(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:  # it is gone, and its senders are about to be
        return
    except PermissionError as error:
        raise StartError(
            f"may not stop the service (process {pid}): stop it yourself, or run this as its user"
        ) from error


def _marker(data: Path) -> _Marker | None:
    try:
        return msgspec.json.decode((data / MOVED).read_bytes(), type=_Marker)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise StartError(f"cannot read {data / MOVED}: {error}") from error


def _mark(data: Path, source: Source, target: Target, *, done: bool) -> None:
    ident = source.move()
    _write(data, _Marker(move=(ident or b"").hex(), to=target.place, at=stamp(), done=done))


def _write(data: Path, marker: _Marker) -> None:
    """It is there before anything that relies on it, whole, after a loss of power, too."""
    draft = data / f".{MOVED}.{os.getpid()}"
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w") as file:
        json.dump(msgspec.to_builtins(marker), file)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(data / MOVED)
    sync(data)
