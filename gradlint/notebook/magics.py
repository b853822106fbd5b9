"""What is for IPython and not for Python, put away and brought back.

IPython's manual, "Enhanced interactive features": lines that begin with ``%`` or ``!`` or ``?``, names that end in
``?``, and ``name = %magic`` or ``name = !command``. All of it only where a statement begins or a value is assigned:
inside strings and brackets these characters are Python's.
"""

import re
from collections.abc import Iterator, Sequence

# Cell magics whose cell is Python all the same.
_PYTHON_CELLS = frozenset(("capture", "memit", "mprun", "prun", "time", "timeit", "wandb"))
_FIRST_WORD = re.compile(r"\s*%%(\w*)")
# Line magics in front of Python: with those options that take no word of their own.
_IN_FRONT = re.compile(r"\s*(?P<magic>%(?:memit|prun|time|timeit)(?:\s+-[a-z]\d*|\s+-[nrR]\s+\d+)*\s+)(?=[A-Za-z_(\[])")
# Line magics that are known without their ``%``, as long as what follows is no Python.
_BARE = (
    r"(?:cd|pip3?|conda|mamba|ls|ll|cat|cp|mv|rm|rmdir|mkdir|man|more|less)"
    r"\s+(?!(?:in|is|and|or|not|if|else|for|as)\b)[\w.~/'\"$-].*"
)
_STATEMENT = re.compile(rf"\s*(?P<magic>[%!?].*|[\w.*%]+\?{{1,2}}\s*|{_BARE})$")
_NAME = r"[\w.*]+(?:\[[^\[\]]*\])*"
_VALUE = re.compile(rf"\s*{_NAME}(?:\s*,\s*{_NAME})*\s*=\s*(?P<magic>[%!].*)$")
_TOKEN = re.compile(r"#.*|\\.|\\$|'''|\"\"\"|['\"()\[\]{}]")
_HIDDEN = 0xF0000  # the first of 65,534 characters for private use, one for each magic
_SHOWN = "[\U000f0000-\U000ffffd]"
_PUT = re.compile(f"(?:pass|None)  #({_SHOWN})|'({_SHOWN})'; *")


def is_python(cell: str) -> bool:
    """Whether a cell holds Python, perhaps under a magic that only times or keeps what it does."""
    first = _FIRST_WORD.match(cell)
    return first is None or first[1] in _PYTHON_CELLS


def without(cell: str, magics: list[str]) -> str:
    """A cell of Python alone. What is put away is added to ``magics``."""
    return "\n".join(_lines(cell.split("\n"), magics))


def restored(text: str, magics: Sequence[str]) -> str:
    """The text with all magics in their places again."""
    return _PUT.sub(lambda found: magics[ord(found[1] or found[2]) - _HIDDEN], text)


def _lines(lines: Sequence[str], magics: list[str]) -> Iterator[str]:
    open_in = ""  # the brackets and the string that are open where a line begins
    continued = False
    for line in lines:
        if continued:
            found, form = re.match("(?P<magic>.*)", line), "pass  #{}"
        elif open_in:
            found, form = None, ""
        else:
            found, form = _magic(line)
        if found is None:
            yield line
            open_in = _open_after(line, open_in)
            continue
        continued = line.endswith("\\") and not form.startswith("'")
        yield _replaced(line, found, form, magics)
        if form.startswith("'"):
            open_in = _open_after(line[found.end("magic") :], open_in)


def _magic(line: str) -> tuple[re.Match[str] | None, str]:
    """What of a line is not Python, and the form of what stands for it."""
    if found := _IN_FRONT.match(line):
        return found, "'{}';"
    if found := _STATEMENT.match(line):
        return found, "pass  #{}"
    return _VALUE.match(line), "None  #{}"


def _replaced(line: str, found: re.Match[str], form: str, magics: list[str]) -> str:
    start, end = found.span("magic")
    instead = form.format(chr(_HIDDEN + len(magics)))
    magics.append(line[start:end])
    if form.startswith("'"):
        instead = instead.ljust(end - start)  # what follows keeps its column
    return line[:start] + instead + line[end:]


def _open_after(line: str, open_in: str) -> str:
    """What is open behind a line: ``(`` for each bracket, then a quote for a string; ``\\`` for a line that goes on."""
    open_in = open_in.removesuffix("\\")
    at = 0
    while found := _TOKEN.search(line, at):
        token, at = found[0], found.end()
        inside = open_in[-1:] in ("'", '"')
        if inside and token.startswith("#"):
            at = found.start() + 1  # no comment
        elif inside:
            quote = _quote(open_in)
            if token.startswith(quote):
                open_in = open_in.removesuffix(quote)
        elif token.startswith("#"):
            break
        elif token == "\\":
            open_in += "\\"
        elif token in "([{":
            open_in += "("
        elif token in ")]}":
            open_in = open_in.removesuffix("(")
        elif token[0] in "'\"":
            open_in += token
    return open_in if not open_in.endswith(("'", '"')) or len(_quote(open_in)) == 3 else open_in.rstrip("'\"")


def _quote(open_in: str) -> str:
    return open_in[len(open_in.rstrip("'\"")) :]
