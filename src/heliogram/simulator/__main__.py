"""``python -m heliogram.simulator``"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .broadcasting import BROADCAST_RULES
from .errors import SimulatorError
from .managing import MANAGEMENT_RULES, ChannelRule
from .rules import RULES, Rule
from .scenario import start_with
from .tables import STATUS, TOKEN_FLOOR_SCOPES, Settings

_ADDRESSES = {
    "production": ("127.0.0.1:2197", "pushes, production environment"),
    "sandbox": ("127.0.0.1:2198", "pushes, sandbox environment"),
    "manage-production": ("127.0.0.1:2196", "channel management, production"),
    "manage-sandbox": ("127.0.0.1:2195", "channel management, sandbox"),
    "control": ("127.0.0.1:8090", "the control API (HTTP)"),
}


def parser() -> argparse.ArgumentParser:
    """The command line; its help prints the order of checks."""
    orders: dict[str, Sequence[Rule | ChannelRule]] = {
        "": RULES,
        " on a broadcast": BROADCAST_RULES,
        " on channel management": MANAGEMENT_RULES,
    }
    made = argparse.ArgumentParser(
        prog="python -m heliogram.simulator",
        description="A stand-alone APNs on your own machine.",
        epilog="\n".join(f"order of checks{of}:\n{_numbered(rules)}\n" for of, rules in orders.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for name, (default, what) in _ADDRESSES.items():
        made.add_argument(f"--{name}", default=default, metavar="HOST:PORT", help=f"{what} (default {default})")
    made.add_argument("--data", type=Path, metavar="DIR", help="keeps the CA between runs (default: made anew)")
    made.add_argument(
        "--name",
        action="append",
        default=[],
        dest="names",
        metavar="HOST",
        help="a name or address that clients on other machines use, repeatable: the certificate has it",
    )
    made.add_argument(
        "--token-floor",
        choices=TOKEN_FLOOR_SCOPES,
        default=None,
        help="who shares the 20 min between provider tokens: each connection alone (default), all connections of an "
        "address with the same team and key, all connections of a team, or off",
    )
    made.add_argument(
        "--scenario",
        type=Path,
        metavar="FILE",
        help="begin with the devices, keys, channels … and settings of this document, as GET /scenario gives it",
    )
    made.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        dest="settings",
        help="a setting, repeatable: " + ", ".join(Settings.__struct_fields__),
    )
    return made


def _numbered(rules: Sequence[Rule | ChannelRule]) -> str:
    return "\n".join(
        f"  {at:2}. {STATUS[rule.reason]} {rule.reason}  ({rule.basis})" for at, rule in enumerate(rules, 1)
    )


def named(pairs: Sequence[str]) -> dict[str, Any]:
    """``NAME=VALUE`` pairs by name. Raises ValueError naming the one at fault."""
    values: dict[str, Any] = {}
    for pair in pairs:
        name, found, value = pair.partition("=")
        if not found or name not in Settings.__struct_fields__:
            raise ValueError(f"--set {pair}: give NAME=VALUE with one of {', '.join(Settings.__struct_fields__)}")
        values[name] = value
    return values


def settings(pairs: Sequence[str]) -> Settings:
    """``NAME=VALUE`` pairs as settings. Raises ValueError naming the one at fault."""
    return start_with(None, named(pairs))[1]


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 after SIGTERM or SIGINT, 2 for options that do not work."""
    given = vars(parser().parse_args(arguments))
    try:
        from . import serve
    except ImportError as error:
        sys.stderr.write(f"simulator: {error.name} is missing; install heliogram[server]\n")
        return 2
    try:
        floor, own = given.pop("token_floor"), named(given.pop("settings"))
        if floor is not None:
            own["token_floor"] = floor
        given["names"] = tuple(given["names"])
        document, chosen = start_with(given.pop("scenario"), own)
        asyncio.run(serve.run(serve.Options(**given, settings=chosen, scenario=document)))
    except (SimulatorError, ValueError) as error:
        sys.stderr.write(f"simulator: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
