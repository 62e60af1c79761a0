"""The `heliogram` command."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command line; without the server's packages it says which to install."""
    try:
        from .root import cli

        cli()
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("heliogram"):
            raise
        sys.stderr.write(
            f"heliogram: the command line needs the package {error.name!r}: pip install 'heliogram[server]'\n"
        )
        sys.exit(2)
