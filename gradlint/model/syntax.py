"""What is wrong with a file that LibCST refuses, in words and at the place that Python itself would give."""

import ast
import warnings

from libcst import ParserSyntaxError

from gradlint.source import Source, SourceError


def explained(source: Source, refusal: ParserSyntaxError) -> SourceError:
    """A syntax error with Python's message; with LibCST's where this Python accepts the text."""
    error = _python_error(source.text)
    if error is not None:
        return SourceError(
            source.path, f"syntax error: {error.msg}", max(error.lineno or 1, 1), max(error.offset or 1, 1)
        )
    message = refusal.message.removeprefix("parser error: ")
    return SourceError(
        source.path, f"syntax error: {message}", max(refusal.raw_line, 1), max(refusal.raw_column + 1, 1)
    )


def _python_error(text: str) -> SyntaxError | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text)
    except SyntaxError as error:
        return error
    except (MemoryError, RecursionError, ValueError):
        return None
    return None
