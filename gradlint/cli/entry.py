"""The ``gradlint`` command: finds its subcommands when asked for, turns errors into exit statuses."""

import gc
import importlib
import os
import sys
import traceback
from typing import NoReturn

import click

from gradlint import __version__

COMMANDS = {
    "check": "Find mistakes in files and folders.",
    "fix": "Mend what can be mended, or what a command proves to help.",
    "rule": "Show the page of a rule.",
    "baseline": "Accept today's findings, and report only new ones.",
    "trace": "Run a script and report grad modes, graphs and memory.",
    "report": "Show a trace again, as text or in other forms.",
    "server": "Speak the language server protocol, for editors.",
    "completion": "Print a script for the shell's completion of commands.",
}
ELSEWHERE = {"server": "gradlint.server.command"}  # modules of commands that use other commands' parts
FAILED = 2
INTERRUPTED = 130  # 128 + SIGINT, as a shell reports it
PIPE_CLOSED = 141  # 128 + SIGPIPE


class LazyGroup(click.Group):
    """A group that imports a subcommand's module when it runs, not when help lists it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All subcommands, in the order of their table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name, which is in ``gradlint.cli.<name>`` unless a table says otherwise."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(ELSEWHERE.get(cmd_name, f"gradlint.cli.{cmd_name}"))
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the subcommands without importing one of them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name="gradlint", message="%(prog)s %(version)s")
def cli() -> None:
    """Find PyTorch code that uses grad modes, graphs and .grad wrongly, across files."""


def main() -> NoReturn:
    """Run the command line and exit: 0 clean, 1 findings, 2 the run itself failed."""
    from gradlint.cli.output import PipeClosed

    ends_with_the_run = sys.argv[1:2] == ["check"] and "--watch" not in sys.argv
    if ends_with_the_run:
        gc.disable()
    try:
        status = cli.main(standalone_mode=False)
        if ends_with_the_run:
            sys.stdout.flush()
            _leave("", int(status or 0))  # to take all facts apart again would take a tenth of the run
    except click.ClickException as error:
        error.show()
        sys.exit(FAILED)
    except click.Abort:
        _leave("interrupted", INTERRUPTED)
    except PipeClosed:
        _leave("", PIPE_CLOSED)
    except Exception as error:
        traceback.print_exception(error)
        print("gradlint: a bug in gradlint; please report it with the lines above", file=sys.stderr)
        raise SystemExit(FAILED) from error
    sys.exit(status)


def _leave(message: str, status: int) -> NoReturn:
    """End at once: not after the thread that still works, nor by flushing into a closed pipe."""
    print(message, file=sys.stderr, end="\n" if message else "", flush=True)
    os._exit(status)
