"""``gradlint trace``: run a script as it is, and say afterwards what grad modes, graphs and memory did."""

from pathlib import Path

import click


@click.command(
    short_help="Run a script and report grad modes, graphs and memory.",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.option("-m", "module", is_flag=True, help="SCRIPT is the name of a module.")
@click.option("--deep", is_flag=True, help="Count every tensor saved for backward, by line.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Keep the trace in this folder.")
@click.option("--live", is_flag=True, help="Show the present state while the script runs.")
@click.option("--report", type=click.Choice(("text", "html", "none")), default="text", show_default=True)
@click.argument("script")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def trace(
    module: bool, deep: bool, output: Path | None, live: bool, report: str, script: str, arguments: tuple[str, ...]
) -> None:
    """Run SCRIPT with its ARGUMENTS unchanged, then report on standard error; the exit status is the script's.

    The trace can be looked at again with `gradlint report`.
    """
    from gradlint.cli.tracing import Wanted, traced

    command = (["-m", script] if module else [script]) + list(arguments)
    status = traced(command, Wanted(output, deep, live, report))
    click.get_current_context().exit(status)
