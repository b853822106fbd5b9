"""Where a report goes, and whether in colour."""

import os
import sys
from collections.abc import Iterable
from typing import TextIO

import click

from gradlint.report.style import Style


def wants_color(stream: TextIO) -> bool:
    """By NO_COLOR and FORCE_COLOR if they are set (and not empty), else whether a person is looking."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def console_style(output_file: str | None) -> Style:
    """The style of a report: plain in files."""
    return Style(color=output_file is None and wants_color(sys.stdout))


def write(text: Iterable[str], output_file: str | None) -> None:
    """Write a report to standard output, or to a file in UTF-8."""
    if output_file is not None:
        try:
            with open(output_file, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.writelines(text)
        except OSError as error:
            raise click.ClickException(f"cannot write {output_file}: {error.strerror or error}") from error
        return
    encoding = sys.stdout.encoding or "utf-8"
    for piece in text:
        sys.stdout.write(piece.encode(encoding, "backslashreplace").decode(encoding))
