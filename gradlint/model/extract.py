"""From source text to facts: read once, keep no tree."""

from gradlint.model.abstract import read as abstract
from gradlint.model.facts import ModuleFacts
from gradlint.source import Source, SourceError, spelt


def followed(source: Source) -> ModuleFacts:
    """The facts of a module, where a gap in our reading of Python is an error like those of the text.

    Raises:
        SourceError: as :func:`extract`, and when that fails in a way that it should not.
    """
    try:
        return extract(source)
    except SourceError:
        raise
    except Exception as error:  # it must not hide what the other files hold
        message = f"gradlint cannot follow this file, please report it ({spelt(error)})"
        raise SourceError(source.path, message) from error


def extract(source: Source) -> ModuleFacts:
    """The facts of a module, from Python's own syntax tree; from LibCST's where this Python refuses the text.

    Raises:
        SourceError: when the text cannot be parsed, or is nested too deeply to be followed.
    """
    facts = abstract.facts(source)
    return facts if facts is not None else extract_with_libcst(source)


def extract_with_libcst(source: Source) -> ModuleFacts:
    """The facts of a module read with LibCST, which are the same: the reference.

    Raises:
        SourceError: when the text cannot be parsed, or is nested too deeply to be followed.
    """
    from gradlint.model.concrete.read import walk  # LibCST takes longer to import than most runs last

    return walk(source)[0]
