"""Where text goes, and whether in colour."""

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from gradlint.quick.terminal import wants_color

if TYPE_CHECKING:
    from gradlint.report.style import Style


class Failed(click.ClickException):
    """The run itself failed: a message on standard error, and exit status 2."""

    exit_code = 2


class PipeClosed(Exception):
    """Whoever read our output has left. (At an OSError click would end with status 1: findings.)"""


def style_for(output_file: str | None) -> "Style":
    """The style of a report: plain in files."""
    from gradlint.report.style import Style  # with all formats, which ``--help`` does without

    return Style(color=output_file is None and wants_color(sys.stdout))


def write(text: Iterable[str], output_file: str | None = None) -> None:
    """Write to standard output, or to a file in UTF-8; what the encoding lacks is written as an escape.

    Raises:
        Failed: when the file cannot be written.
        PipeClosed: when nobody reads standard output any more.
    """
    if output_file is None:
        _print(text)
        return
    try:
        with open(output_file, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines(text)
    except OSError as error:
        raise Failed(f"cannot write {output_file}: {error.strerror or error}") from error


def write_bytes(data: bytes) -> None:
    """Write a file's bytes to standard output.

    Raises:
        PipeClosed: when nobody reads standard output any more.
    """
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
    except BrokenPipeError as error:
        raise PipeClosed from error


def say(text: str) -> None:
    """A line on standard error."""
    click.echo(text, err=True)


def _print(text: Iterable[str]) -> None:
    encoding = sys.stdout.encoding or "utf-8"
    try:
        for piece in text:
            sys.stdout.write(piece.encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()
    except BrokenPipeError as error:
        raise PipeClosed from error
