"""What one call of ``gradlint check`` asks for."""

from dataclasses import dataclass
from pathlib import Path

STDIN = "-"


@dataclass(frozen=True, slots=True)
class Request:
    """The flags of one call; ``select`` and the like are empty where the flag was not given.

    ``context`` are files and folders that are read, but not reported on. ``jobs`` None is as many processes as the
    work is worth.
    """

    paths: tuple[str, ...] = (".",)
    context: tuple[str, ...] = ()
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    extend_select: tuple[str, ...] = ()
    output_format: str | None = None
    output_file: str | None = None
    statistics: bool = False
    fix: bool = False
    unsafe_fixes: bool = False
    diff: bool = False
    add_ignores: str | None = None
    exit_zero: bool = False
    baseline: Path | None = None
    config: Path | None = None
    isolated: bool = False
    force_exclude: bool = False
    stdin_filename: str | None = None
    show_files: bool = False
    show_settings: bool = False
    quiet: bool = False
    verbose: bool = False
    traces: tuple[Path, ...] = ()
    jobs: int | None = None
    cache: bool = False
