"""A look before parsing: LibCST's native parser recurses, and code nested too deeply would crash the process.

A regular expression counts levels, at a tenth of the cost of parsing, in files that are large enough to be
deep. Where it counts too many real tokens decide, because it can be wrong about quotes inside f-strings.
"""

import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from typing import Literal

from gradlint.source import Source, SourceError

MOST_BRACKETS = 200  # Python itself allows no more
MOST_LEVELS = 1000  # Python gives up between 2,000 and 3,000; LibCST takes up to 4 KiB of stack for each

# A link (operator, attribute, string next to a string) makes the expression it is in one level deeper, a part
# (comma, assignment) begins a new expression beside it.
Kind = Literal["link", "open", "close", "part", "line"]

_TOKEN = re.compile(
    r"""
      (?P<string>\"{3}(?:[^"\\]|\\.|"(?!""))*\"{3} | '{3}(?:[^'\\]|\\.|'(?!''))*'{3}
        | "(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)*')
    | (?P<link>[.+\-*/%@&|^~] | \b(?:not|and|or|if|for|lambda)\b)
    | (?P<open>[(\[{])
    | (?P<close>[)\]}])
    | (?P<part>[,;] | (?<![=<>!:])=(?!=))
    | (?P<line>\n)
    | \#[^\n]* | \\\r?\n
    """,
    re.VERBOSE | re.DOTALL,
)
_TOO_DEEP = f"nested more than {MOST_LEVELS:,} levels deep"
_STATEMENT = re.compile(r"^([ \t]*)(?=[^\s#])(elif\b)?", re.MULTILINE)
_F_STRING = re.compile(r"[rR]?[fFtT]")
_BRACKET = re.compile(r"[(\[{}\])]")
_OPENING = tuple("([{")
_LINKING = (*".+-*/%@&|^~'\"", "not", "and", "or", "if", "lambda")
_KINDS: dict[str, Kind] = {
    **dict.fromkeys("([{", "open"),
    **dict.fromkeys(")]}", "close"),
    **dict.fromkeys((",", ";", "="), "part"),
    **dict.fromkeys((".", "+", "-", "*", "/", "%", "@", "&", "|", "^", "~", "**", "//", "<<", ">>"), "link"),
    **dict.fromkeys(("not", "and", "or", "if", "for", "lambda"), "link"),
}


def refuse_too_deep(source: Source) -> None:
    """Do nothing, or raise where code is nested more deeply than can be parsed safely.

    Raises:
        SourceError: with the place where it becomes too deep.
    """
    if (at := _long_chain(source.text)) is not None:
        raise SourceError(source.path, _TOO_DEEP, *source.position(at))
    if _is_small(source.text) or _deepening(_scanned(source.text)) is None:
        return
    try:
        found = _deepening(_tokenized(source.text))
    except (tokenize.TokenError, SyntaxError):
        found = _deepening(_scanned(source.text))
    if found is not None:
        offset, message = found
        raise SourceError(source.path, message, *source.position(offset))


def _long_chain(text: str) -> int | None:
    """Where a chain of ``elif`` becomes too long: each is nested in the one before, whatever it looks like."""
    if text.count("elif") <= MOST_LEVELS:
        return None
    lengths: dict[str, int] = {}
    for found in _STATEMENT.finditer(text):
        indentation, elif_ = found.groups()
        lengths = {outer: length for outer, length in lengths.items() if len(outer) <= len(indentation)}
        lengths[indentation] = lengths.get(indentation, 0) + 1 if elif_ else 0
        if lengths[indentation] > MOST_LEVELS:
            return found.start(2)
    return None


def _is_small(text: str) -> bool:
    brackets, links = sum(map(text.count, _OPENING)), sum(map(text.count, _LINKING))
    return brackets <= MOST_BRACKETS and brackets + links <= MOST_LEVELS


def _deepening(tokens: Iterable[tuple[Kind, int]]) -> tuple[int, str] | None:
    """The offset at which code becomes too deep, and in what way."""
    levels, depth = [0], 0
    for kind, offset in tokens:
        if kind == "link":
            levels[-1] += 1
            depth += 1
        elif kind == "open":
            levels.append(1)
            depth += 1
        elif kind == "close" and len(levels) > 1:  # what was in brackets is one link of what is around them
            depth += 1 - levels.pop()
            levels[-1] += 1
        elif kind == "part" or (kind == "line" and len(levels) == 1):
            depth -= levels[-1]
            levels[-1] = 0
        if depth > MOST_LEVELS:
            return offset, _TOO_DEEP
        if len(levels) > MOST_BRACKETS + 1:
            return offset, f"syntax error: more than {MOST_BRACKETS} nested brackets"
    return None


def _scanned(text: str) -> Iterator[tuple[Kind, int]]:
    for found in _TOKEN.finditer(text):
        match found.lastgroup:
            case "string":
                yield "link", found.start()
                yield from _brackets(found["string"], found.start())
            case "link" | "open" | "close" | "part" | "line" as kind:
                yield kind, found.start()
            case _:
                pass


def _tokenized(text: str) -> Iterator[tuple[Kind, int]]:
    lines = [0, *(end.end() for end in re.finditer(r"\r\n|\n|\r", text))]
    for token in tokenize.generate_tokens(io.StringIO(text, newline=None).readline):
        offset = lines[token.start[0] - 1] + token.start[1]
        if token.type == tokenize.STRING:
            yield "link", offset
            if _F_STRING.match(token.string):
                yield from _brackets(token.string, offset)
        elif token.type == tokenize.NEWLINE:
            yield "line", offset
        elif token.type in (tokenize.OP, tokenize.NAME) and (kind := _KINDS.get(token.string)) is not None:
            yield kind, offset


def _brackets(text: str, offset: int) -> Iterator[tuple[Kind, int]]:
    """The brackets inside an f-string."""
    if len(text) > MOST_BRACKETS and "{" in text:
        for found in _BRACKET.finditer(text):
            yield _KINDS[found.group()], offset + found.start()
