"""``gradlint report``: look at traces again."""

from pathlib import Path

import click

FORMATS = ("text", "html", "perfetto")


@click.command(short_help="Show a trace again, as text or in other forms.")
@click.argument("traces", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="TRACE...")
@click.option("--output-format", type=click.Choice(FORMATS), default="text", show_default=True)
@click.option("--output-file", type=click.Path(dir_okay=False), help="Write the report here.")
@click.option("--compare", is_flag=True, help="Take two traces, and say what changed from the first to the second.")
def report(traces: tuple[Path, ...], output_format: str, output_file: str | None, compare: bool) -> None:
    """Show what `gradlint trace -o TRACE` recorded; several traces (of ranks, say) become one report.

    An HTML page needs nothing but itself to be looked at; `perfetto` is JSON that Perfetto opens.
    """
    from gradlint.cli.output import Failed, write
    from gradlint.cli.tracing import rendered
    from gradlint.trace import TraceError, load

    if compare and (len(traces) != 2 or output_format != "text"):
        raise click.UsageError("--compare takes two traces, and gives text")
    try:
        if compare:
            from gradlint.trace.compare import report as comparison

            write([comparison(load(traces[0]), load(traces[1]))], output_file)
        else:
            write([rendered(load(*traces), output_format)], output_file)
    except TraceError as error:
        raise Failed(str(error)) from error
