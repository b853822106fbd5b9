"""What ``gradlint check FILE...`` says of files that hold no trigger; nothing where a full run has to tell.

The answer is that of a full run, letter for letter: whatever is not plain (a comment for us, a syntax error, a
setting we do not know) is left to that.
"""

import os
import sys
import warnings

from gradlint.quick.packs import only_builtin
from gradlint.quick.settings import names, table_above
from gradlint.quick.terminal import wants_color
from gradlint.quick.triggers import BEGINNINGS, STEMS, WORDS

_HARMLESS = frozenset(("-q", "--quiet", "--no-cache", "--isolated", "--exit-zero"))
_ONLY_TREE = 0x400  # ``ast.PyCF_ONLY_AST``, without importing ``ast``
_DEEPEST = 100  # deeper code may be too deep for a full run
_IDENTIFIERS = bytes(
    c if c in b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_" or c > 127 else 32 for c in range(256)
)


def answer(arguments: list[str]) -> str | None:
    """The report of a command whose files are all without findings; None where that cannot be told quickly."""
    if arguments[:1] != ["check"] or any(name.endswith("_COMPLETE") for name in os.environ):
        return None
    words = _without_jobs(arguments[1:])
    flags = [word for word in words if word.startswith("-")]
    paths = [word for word in words if not word.startswith("-")]
    if not paths or not _HARMLESS.issuperset(flags) or not all(map(_is_plain_file, paths)):
        return None
    try:
        table = {} if "--isolated" in flags else table_above(os.path.dirname(os.path.abspath(paths[0])))
        if table is None or not all(_is_clean(path, names(table)) for path in paths) or not only_builtin():
            return None
    except (OSError, ValueError, RecursionError):
        return None
    quiet = not {"-q", "--quiet"}.isdisjoint(flags)
    return "" if quiet else _summary(len({os.path.abspath(path) for path in paths}))


def _without_jobs(words: list[str]) -> list[str]:
    """The words without ``--jobs 2``, which makes no difference here."""
    for at, word in enumerate(words[:-1]):
        if word == "--jobs" and words[at + 1].isascii() and words[at + 1].isdigit() and int(words[at + 1]) > 0:
            return words[:at] + words[at + 2 :]
    return words


def _summary(count: int) -> str:
    text = f"No findings in {count} file{'' if count == 1 else 's'}."
    return f"\x1b[1m{text}\x1b[0m\n" if wants_color(sys.stdout) else f"{text}\n"


def _is_plain_file(path: str) -> bool:
    return path.endswith(".py") and os.path.isfile(path)


def _is_clean(path: str, more: list[str]) -> bool:
    """Whether a file can be read and parsed, and holds no word that a finding needs."""
    with open(path, "rb") as file:
        data = file.read()
    return not _has_trigger(data, more) and _is_well_formed(data)


def _has_trigger(data: bytes, more: list[str]) -> bool:
    lower = data.lower()
    if any(stem.encode() in lower for stem in STEMS) or any(name.encode() in data for name in more):
        return True
    words = {word.decode("utf-8", "replace") for word in data.translate(_IDENTIFIERS).split()}
    return not WORDS.isdisjoint(words) or any(word.startswith(BEGINNINGS) for word in words)


def _is_well_formed(data: bytes) -> bool:
    """Whether these are the bytes of valid Python in UTF-8, and nested no deeper than usual."""
    if b"\0" in data or data.startswith(b"\xef\xbb\xbf") or b"coding" in b"".join(data.splitlines()[:2]):
        return False
    text = data.decode("utf-8")
    if not data.isascii():
        import unicodedata  # names may be spelt so that they become others

        if not unicodedata.is_normalized("NFKC", text):
            return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tree = compile(text, "<unknown>", "exec", _ONLY_TREE, dont_inherit=True)
        except (SyntaxError, MemoryError):
            return False
    return _depth(tree) <= _DEEPEST


def _depth(tree: object) -> int:
    level, depth = [tree], 0
    while level and depth <= _DEEPEST:
        depth += 1
        level = [part for node in level for part in _parts(node)]
    return depth


def _parts(node: object) -> list[object]:
    found: list[object] = []
    for name in getattr(node, "_fields", ()):
        value = getattr(node, name, None)
        if isinstance(value, list):
            found += value
        elif hasattr(value, "_fields"):
            found.append(value)
    return found
