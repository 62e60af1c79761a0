"""`heliogram completion`: the script that teaches a shell our commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

PROGRAM, VARIABLE = "heliogram", "_HELIOGRAM_COMPLETE"
ZSH = """\
#compdef heliogram

_heliogram() {
    local -a answers plain described
    local kind value text line="${(j: :)words}" at=$((CURRENT - 1))
    answers=("${(@f)$(COMP_WORDS=$line COMP_CWORD=$at _HELIOGRAM_COMPLETE=zsh_complete heliogram)}")
    [[ $PREFIX == --*=* ]] && compset -P 1 '*='  # what is completed is the value alone
    for kind value text in $answers; do
        case $kind in
            dir) _path_files -/ ;;
            file) _path_files ;;
            plain) if [[ $text == _ ]]; then plain+=("$value"); else described+=("$value:$text"); fi ;;
        esac
    done
    (( $#described )) && _describe -V heliogram described
    (( $#plain )) && compadd -V heliogram -a plain
}

if [[ $funcstack[1] == _heliogram ]]; then
    _heliogram "$@"  # found in $fpath
else
    compdef _heliogram heliogram  # sourced
fi
"""
"""Click's own completes nothing at the second Tab of a shell that found it in $fpath, and replaces `--option=value`."""
FISH = """\
function _heliogram_completion
    set -l word (commandline -t)
    set -l response (env _HELIOGRAM_COMPLETE=fish_complete COMP_WORDS=(commandline -cp) COMP_CWORD=$word heliogram)
    set -l option (string match -r -- '^--[^=]+=' $word)
    for completion in $response
        set -l found (string split -m 1 , -- $completion)
        switch $found[1]
            case dir
                for each in (__fish_complete_directories $found[2])
                    echo "$option$each"
                end
            case file
                for each in (__fish_complete_path $found[2])
                    echo "$option$each"
                end
            case plain
                echo "$option$found[2]"
        end
    end
end

complete --no-files --command heliogram --arguments "(_heliogram_completion)"
"""
"""Click's own cuts descriptions at their first comma, and knows no `--option=value`."""


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]), metavar="SHELL")
@click.pass_context
def completion(ctx: click.Context, /, shell: str) -> None:
    """Print the script that completes commands, options and their values in bash (4.4 or newer), zsh or fish.

    \b
    bash:  mkdir -p ~/.local/share/bash-completion/completions
           heliogram completion bash > ~/.local/share/bash-completion/completions/heliogram
           (needs the package bash-completion)
    zsh:   mkdir -p ~/.zfunc && heliogram completion zsh > ~/.zfunc/_heliogram
           and in ~/.zshrc, before compinit:  fpath+=~/.zfunc
    fish:  mkdir -p ~/.config/fish/completions
           heliogram completion fish > ~/.config/fish/completions/heliogram.fish
    This once:  source <(heliogram completion bash)     the same in zsh
                heliogram completion fish | source
    """
    click.echo({"zsh": ZSH, "fish": FISH}.get(shell) or _bash(ctx), nl=False)


def _bash(ctx: click.Context) -> str:
    made = get_completion_class("bash")
    if made is None:  # pragma: no cover - click knows it
        raise click.UsageError("SHELL: bash is none that click knows")
    script = made(ctx.find_root().command, {}, PROGRAM, VARIABLE)
    return script.source_template % script.source_vars() + "\n"
