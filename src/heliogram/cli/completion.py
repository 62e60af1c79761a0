"""`heliogram completion`: the script that teaches a shell our commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

PROGRAM, VARIABLE = "heliogram", "_HELIOGRAM_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, /, shell: str) -> None:
    """Print the script that completes commands, options and their values in bash (4.4 or newer), zsh or fish.

    \b
    bash:  heliogram completion bash > ~/.local/share/bash-completion/completions/heliogram
    zsh:   heliogram completion zsh > "${fpath[1]}/_heliogram"
    fish:  heliogram completion fish > ~/.config/fish/completions/heliogram.fish
    This once, in bash:  source <(heliogram completion bash)
    """
    made = get_completion_class(shell)
    if made is None:  # pragma: no cover - click knows all three
        raise click.UsageError(f"SHELL: {shell} is none that click knows")
    script = made(ctx.find_root().command, {}, PROGRAM, VARIABLE)
    click.echo(script.source_template % script.source_vars())
