"""``gradlint check``: find the files, run the rules, show what they say."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from gradlint.config import FORMATS

Command = TypeVar("Command", bound=Callable[..., object])


def _selectors(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """``--select GL1,GL201 --select GL3`` as one tuple."""
    return tuple(part.strip() for value in values for part in value.split(",") if part.strip())


def selector_option(name: str, text: str) -> Callable[[Command], Command]:
    """An option that takes codes, several times or separated by commas."""
    return click.option(name, multiple=True, metavar="CODES", callback=_selectors, help=text)


@click.command(short_help="Find mistakes in files and folders.")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@selector_option("--select", "Rules to run, instead of the configured ones: codes, prefixes or ALL.")
@selector_option("--ignore", "Rules not to run.")
@selector_option("--extend-select", "Rules to run besides the others.")
@click.option("--fix", is_flag=True, help="Mend what can be mended safely, and report the rest.")
@click.option("--unsafe-fixes", is_flag=True, help="With --fix or --diff: also fixes that may change what is computed.")
@click.option("--diff", is_flag=True, help="Show what --fix would change as a patch, and change nothing.")
@click.option("--add-ignores", metavar="REASON", help="Silence what is found with comments that give this reason.")
@click.option("--output-format", type=click.Choice(FORMATS), help="How to show findings.  [default: full]")
@click.option("--output-file", type=click.Path(dir_okay=False), help="Write the report here.")
@click.option("--baseline", type=click.Path(path_type=Path), help="Report only what this file does not accept.")
@click.option("--context", multiple=True, metavar="PATH", help="Read this too, to understand what is checked.")
@click.option("--statistics", is_flag=True, help="Count findings per rule instead of listing them.")
@click.option("--exit-zero", is_flag=True, help="Exit with 0 even if there are findings.")
@click.option("--config", type=click.Path(path_type=Path), help="Read settings from this file.")
@click.option("--isolated", is_flag=True, help="Read no settings file.")
@click.option(
    "--trace",
    "traces",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="TRACE",
    help="Join with what a run measured (`gradlint trace -o TRACE ...`): what it confirms, refutes, and saw besides.",
)
@click.option("--watch", is_flag=True, help="Check again whenever a file is saved.")
@click.option("--jobs", type=click.IntRange(min=1), help="Processes to use.  [default: by the amount of work]")
@click.option("--no-cache", is_flag=True, help="Check anew, and remember nothing.")
@click.option("--force-exclude", is_flag=True, help="Apply `exclude` to files named on the command line too.")
@click.option("--stdin-filename", metavar="PATH", help="What to call standard input, which `-` reads.")
@click.option("--show-files", is_flag=True, help="List the files that would be checked, and stop.")
@click.option("--show-settings", is_flag=True, help="Show the settings in force, and stop.")
@click.option("-q", "--quiet", is_flag=True, help="Print findings only.")
@click.option("-v", "--verbose", is_flag=True, help="Say on standard error what is done.")
def check(
    paths: tuple[str, ...],
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    extend_select: tuple[str, ...],
    fix: bool,
    unsafe_fixes: bool,
    diff: bool,
    add_ignores: str | None,
    output_format: str | None,
    output_file: str | None,
    baseline: Path | None,
    context: tuple[str, ...],
    statistics: bool,
    exit_zero: bool,
    config: Path | None,
    isolated: bool,
    watch: bool,
    jobs: int | None,
    no_cache: bool,
    force_exclude: bool,
    stdin_filename: str | None,
    show_files: bool,
    show_settings: bool,
    quiet: bool,
    verbose: bool,
    traces: tuple[Path, ...],
) -> None:
    """Find mistakes in files and folders; without PATH in the current folder.

    Exits with 0 if nothing was found, 1 if something was, and 2 if the run itself failed: bad settings, a
    file that cannot be read or parsed, a rule that broke.
    """
    # click calls this after --help and usage errors are dealt with: only now is anything heavy imported.
    from gradlint.cli.checking import checked
    from gradlint.cli.request import Request

    if isolated and config is not None:
        raise click.UsageError("--isolated reads no settings file, --config names one")
    if unsafe_fixes and not (fix or diff):
        raise click.UsageError("--unsafe-fixes says which fixes --fix applies or --diff shows, and needs one of them")
    if traces and (fix or diff):
        raise click.UsageError(
            "--trace measures the code that ran, which --fix and --diff change: see `gradlint fix --prove`"
        )
    if add_ignores is not None and not add_ignores.strip():
        raise click.UsageError("--add-ignores wants a reason, for whoever reads the comments")
    request = Request(
        paths=paths or (".",),
        context=context,
        baseline=baseline,
        select=select,
        ignore=ignore,
        extend_select=extend_select,
        output_format=output_format,
        output_file=output_file,
        statistics=statistics,
        fix=fix,
        unsafe_fixes=unsafe_fixes,
        diff=diff,
        add_ignores=add_ignores,
        exit_zero=exit_zero,
        config=config,
        isolated=isolated,
        force_exclude=force_exclude,
        stdin_filename=stdin_filename,
        show_files=show_files,
        show_settings=show_settings,
        quiet=quiet,
        verbose=verbose,
        traces=traces,
        jobs=jobs,
        cache=not no_cache,
    )
    if watch:
        from gradlint.cli.watching import watch as watch_files

        if "-" in request.paths:
            raise click.UsageError("--watch cannot watch standard input")
        watch_files(request)
    click.get_current_context().exit(checked(request))
