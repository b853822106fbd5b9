"""``gradlint baseline``: accept today's findings, so that only new ones are reported."""

from pathlib import Path

import click

NAME = ".gradlint-baseline.json"


@click.command(short_help="Accept today's findings, and report only new ones.")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--output", type=click.Path(path_type=Path), default=Path(NAME), show_default=True)
@click.option("--config", type=click.Path(path_type=Path), help="Read settings from this file.")
@click.option("--isolated", is_flag=True, help="Read no settings file.")
def baseline(paths: tuple[str, ...], output: Path, config: Path | None, isolated: bool) -> None:
    """Write the findings in files and folders to a file that `gradlint check --baseline FILE` takes.

    Findings are known by their content and not by the numbers of lines. As they are mended, `check` takes them out
    of the file.
    """
    from gradlint.cli.accepting import accept
    from gradlint.cli.request import Request

    if isolated and config is not None:
        raise click.UsageError("--isolated reads no settings file, --config names one")
    request = Request(paths=paths or (".",), config=config, isolated=isolated)
    click.get_current_context().exit(accept(request, output))
