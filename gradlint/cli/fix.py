"""``gradlint fix``: mend what can be mended; with ``--prove``, keep what a command shows to help."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gradlint.cli.check import selector_option

if TYPE_CHECKING:
    from gradlint.cli.request import Request

JOURNAL = ".gradlint-prove"  # where a proof keeps what files held; gone when it is over


@click.command(short_help="Mend what can be mended, or what a command proves to help.")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option(
    "--prove",
    "command",
    metavar="CMD",
    help='Try each fix, safe or not: keep it if CMD ("pytest tests/test_eval.py") still passes and wastes less.',
)
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="Stop CMD after this.")
@selector_option("--select", "Rules to run, instead of the configured ones: codes, prefixes or ALL.")
@selector_option("--ignore", "Rules not to run.")
@selector_option("--extend-select", "Rules to run besides the others.")
@click.option("--unsafe-fixes", is_flag=True, help="Without --prove: also fixes that may change what is computed.")
@click.option("--config", type=click.Path(path_type=Path), help="Read settings from this file.")
@click.option("--isolated", is_flag=True, help="Read no settings file.")
@click.option("-q", "--quiet", is_flag=True, help="Print the outcome only.")
@click.option("-v", "--verbose", is_flag=True, help="Show what CMD printed when it failed.")
def fix(
    paths: tuple[str, ...],
    command: str | None,
    timeout: float | None,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    extend_select: tuple[str, ...],
    unsafe_fixes: bool,
    config: Path | None,
    isolated: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Mend files and folders; without PATH in the current folder. Alone it is `gradlint check --fix`.

    With --prove CMD is run, traced, before all and with each fix. However it ends before its time, files are as they
    were. It exits with 0 if no fix was left out, 1 if one was, and 2 if CMD fails without them or does nothing
    with torch.
    """
    from gradlint.cli.request import Request

    if isolated and config is not None:
        raise click.UsageError("--isolated reads no settings file, --config names one")
    request = Request(
        paths=paths or (".",),
        select=select,
        ignore=ignore,
        extend_select=extend_select,
        fix=True,
        unsafe_fixes=unsafe_fixes,
        config=config,
        isolated=isolated,
        quiet=quiet,
        verbose=verbose,
    )
    click.get_current_context().exit(_done(request, command, timeout))


def _done(request: "Request", command: str | None, timeout: float | None) -> int:
    if command is None:
        from gradlint.cli.checking import checked

        if timeout is not None:
            raise click.UsageError("--timeout is for the command of --prove")
        if (Path.cwd() / JOURNAL).exists():
            from gradlint.cli.proving import put_right

            put_right(Path.cwd())
        return checked(request)
    from gradlint.cli.proving import proved

    if not command.strip():
        raise click.UsageError('--prove wants a command, such as "pytest tests/test_eval.py"')
    return proved(request, command, timeout)
