"""``gradlint completion``: the script that makes a shell complete our commands and options."""

import click
from click.shell_completion import get_completion_class

VARIABLE = "_GRADLINT_COMPLETE"


@click.command(short_help="Print a script for the shell's completion of commands.")
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def completion(shell: str) -> None:
    """Print a script for SHELL; it goes into the shell's start-up file.

    For example: gradlint completion bash >> ~/.bashrc
    """
    kind = get_completion_class(shell)
    if kind is None:
        raise click.ClickException(f"this version of click cannot complete for {shell}")
    root = click.get_current_context().find_root()
    click.echo(kind(root.command, {}, "gradlint", VARIABLE).source())
