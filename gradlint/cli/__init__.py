"""The command line: thin commands over the engine. Only this layer prints, and only this layer exits."""

from gradlint.cli.entry import cli, main

__all__ = ["cli", "main"]
