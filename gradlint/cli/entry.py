"""The ``gradlint`` command: finds its subcommands when asked for, turns errors into exit statuses."""

import importlib
import os
import sys
import traceback

import click

from gradlint import __version__

COMMANDS = {
    "check": "Find mistakes in files and folders.",
    "rule": "Show the page of a rule.",
}
FAILED = 2
INTERRUPTED = 130  # 128 + SIGINT, as a shell reports it
PIPE_CLOSED = 141  # 128 + SIGPIPE


class LazyGroup(click.Group):
    """A group that imports a subcommand's module when it runs, not when help lists it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All subcommands, in the order of their table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command in ``gradlint.cli.<name>`` that has the module's name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(f"gradlint.cli.{cmd_name}"), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the subcommands without importing one of them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name="gradlint", message="%(prog)s %(version)s")
def cli() -> None:
    """Find PyTorch code that uses grad modes, graphs and .grad wrongly, across files."""


def main() -> None:
    """Run the command line and exit: 0 clean, 1 findings, 2 the run itself failed."""
    try:
        sys.exit(_status())
    except BrokenPipeError:
        # Whoever read our output has left. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(PIPE_CLOSED)


def _status() -> int:
    try:
        status = cli.main(standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return FAILED
    except (click.Abort, KeyboardInterrupt):
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        raise
    except Exception as error:
        traceback.print_exception(error)
        print("gradlint: this is a bug in gradlint; please report it with the lines above", file=sys.stderr)
        raise SystemExit(FAILED) from error
    return status if isinstance(status, int) else 0
