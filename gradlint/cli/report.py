"""``gradlint report``: look at traces again."""

from pathlib import Path

import click


@click.command(short_help="Show a trace again, as text or in other forms.")
@click.argument("traces", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="TRACE...")
@click.option("--output-file", type=click.Path(dir_okay=False), help="Write the report here.")
def report(traces: tuple[Path, ...], output_file: str | None) -> None:
    """Show what `gradlint trace -o TRACE` recorded; several traces (of ranks, say) become one report."""
    from gradlint.cli.output import Failed, write
    from gradlint.trace import TraceError, load
    from gradlint.trace.text import report as text_report

    try:
        trace = load(*traces)
    except TraceError as error:
        raise Failed(str(error)) from error
    write([text_report(trace)], output_file)
