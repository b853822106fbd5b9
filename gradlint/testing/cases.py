"""The examples in a rule's page and in its ``CASES``, which may be the file ``NAME.cases.md`` beside it.

Both are Markdown. A fenced block ``python`` is one example; the section it stands in says what it is for:

* page: ``## Flagged`` (each block marks at least one finding of the rule), ``## Instead`` (none),
  ``## Fixed`` (the flagged blocks in the same order, after the rule's own fix);
* ``CASES``: ``## Flagged`` and ``## Silent``, with ``### what it is about`` above each block.

A line that ends in ``# GL201`` gets exactly this finding, ``# GL201 GL202`` both; all other lines are silent.
``# file: pkg/eval.py`` starts a file; the last one is the main program. A block ``python setup`` is put in
front when examples are *run*, never when they are checked: for all of the file if it stands before the first
heading, else for those under the same ``###``. Its ``# file:`` parts stand in for libraries not installed.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from markdown_it import MarkdownIt
from markdown_it.token import Token

from gradlint.rule import Rule
from gradlint.testing.claims import Claim, ClaimError, claims, statements, without_declarations

Kind = Literal["flagged", "instead", "fixed", "silent"]
Marks = Counter[tuple[str, int, str]]

MAIN = "example.py"
_PAGE: dict[str, Kind] = {"flagged": "flagged", "instead": "instead", "fixed": "fixed"}
_MORE: dict[str, Kind] = {"flagged": "flagged", "silent": "silent"}
_MARK = re.compile(r"#\s*([A-Z]+\d{3}(?:[ ,]+[A-Z]+\d{3})*)\s*$")
_FILE = re.compile(r"# file: (\S+)\s*$")


class PageError(Exception):
    """A page or ``CASES`` that is not written as this module says."""


class CaseFailure(AssertionError):
    """An example that is not found, or does not do, what it says."""


@dataclass(frozen=True, slots=True)
class File:
    """One file of an example; ``path`` is relative to the folder it is run in."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Case:
    """One example of one rule.

    ``accused`` are the claims of the page's flagged examples, which clean ones deny.
    """

    code: str
    title: str
    kind: Kind
    files: tuple[File, ...]
    setup: tuple[File, ...] = ()
    accused: tuple[Claim, ...] = ()

    def __str__(self) -> str:
        words = re.sub(r"[^\w.()]+", "-", f"{self.kind}-{self.title}").strip("-")
        return f"{self.code}-{words}"

    @property
    def marks(self) -> Marks:
        """How often each code is expected, by path and 1-based line."""
        return Counter(
            (file.path, number, code)
            for file in self.files
            for number, line in enumerate(file.text.split("\n"), 1)
            if (found := _MARK.search(line))
            for code in re.findall(r"\w+", found[1])
        )

    @property
    def runs(self) -> tuple[str, ...]:
        """The statements to execute after the example."""
        return tuple(statement for file in self.files for statement in statements(file.text))

    @property
    def claims(self) -> tuple[Claim, ...]:
        """What the example says happens when it is run."""
        return tuple(claim for file in self.files for claim in claims(file.text))

    @property
    def code_only(self) -> tuple[File, ...]:
        """The files without marks, claims and ``# run:`` lines: what a fix is compared by."""
        return tuple(replace(file, text=without_declarations(_unmarked(file.text))) for file in self.files)


@dataclass(frozen=True, slots=True)
class _Block:
    """A fenced Python block, with the headings above it."""

    section: str
    title: str
    is_setup: bool
    text: str


def cases(rule: Rule) -> tuple[Case, ...]:
    """All examples of a rule: its page's, then those of ``CASES``.

    Raises:
        PageError: for a block in the wrong section or without its mark, and a claim that cannot be read.
    """
    more = tuple(_blocks(rule.cases))
    page = tuple(_cases(rule.code, _blocks(rule.page), _PAGE, _setup(more)))
    found = tuple(_checked(case) for case in (*page, *_cases(rule.code, more, _MORE)))
    accused = tuple(claim for case in found[: len(page)] if case.kind == "flagged" for claim in case.claims)
    return tuple(_numbered(replace(case, accused=accused) for case in found))


def proofs(rule: Rule) -> tuple[Case, ...]:
    """The examples to be run: all of the page, all flagged ones, and silent ones that claim something.

    Raises:
        PageError: when a flagged example claims nothing.
    """
    found = tuple(case for case in cases(rule) if case.kind != "silent" or case.runs or case.claims)
    for case in found:
        if case.kind == "flagged" and not case.claims:
            raise PageError(f"{case}: a flagged example must claim what happens (`# raises:`, `# keeps:`)")
    return found


def _blocks(markdown: str) -> Iterator[_Block]:
    section = title = ""
    tokens = MarkdownIt().parse(markdown)
    for before, token in zip([None, *tokens], tokens, strict=False):
        if before is not None and before.type == "heading_open":
            section = token.content.lower() if before.tag == "h2" else section
            title = "" if before.tag == "h2" else token.content
        elif (info := _python(token)) is not None:
            yield _Block(section, title, info == "setup", token.content)


def _python(token: Token) -> str | None:
    """What follows ``python`` in the info string of a fenced Python block; None for everything else."""
    language, _, rest = token.info.strip().partition(" ")
    return rest.strip() if token.type == "fence" and language == "python" else None


def _cases(code: str, blocks: Iterable[_Block], kinds: dict[str, Kind], shared: str = "") -> Iterator[Case]:
    blocks = tuple(blocks)
    shared = shared or _setup(blocks)
    for block in blocks:
        if block.is_setup:
            continue
        if block.section not in kinds:
            allowed = ", ".join(f"## {name.capitalize()}" for name in kinds)
            raise PageError(f"{code}: a Python block stands under {block.section!r}; allowed are {allowed}")
        own = _setup(blocks, block.section, block.title) if block.title else ""
        setup = _files(shared) + _files(own)
        yield Case(code, block.title or "page", kinds[block.section], _files(block.text), setup)


def _setup(blocks: Iterable[_Block], section: str = "", title: str = "") -> str:
    wanted = (section, title, True)
    return "".join(b.text for b in blocks if (b.section, b.title, b.is_setup) == wanted)


def _files(text: str) -> tuple[File, ...]:
    """Split at ``# file:`` lines; the marker stays as the file's first line, so that it is read with it."""
    parts: list[tuple[str, list[str]]] = []
    for line in text.splitlines(keepends=True):
        if found := _FILE.match(line):
            parts.append((found[1], []))
        elif not parts:
            parts.append((MAIN, []))
        parts[-1][1].append(line)
    return tuple(File(path, "".join(lines)) for path, lines in parts)


def _checked(case: Case) -> Case:
    own = [code for _, _, code in case.marks if code == case.code]
    if case.kind == "flagged" and not own:
        raise PageError(f"{case}: a flagged example without `# {case.code}`")
    if case.kind != "flagged" and own:
        raise PageError(f"{case}: `# {case.code}` in an example that is to be silent")
    try:
        _ = case.claims
    except ClaimError as error:
        raise PageError(f"{case}: {error}") from error
    return case


def _numbered(found: Iterable[Case]) -> Iterator[Case]:
    """Give the second example of a title its number, so that test ids differ."""
    seen: Counter[str] = Counter()
    for case in found:
        seen[str(case)] += 1
        count = seen[str(case)]
        yield case if count == 1 else replace(case, title=f"{case.title} {count}")


def _unmarked(text: str) -> str:
    return "\n".join(_MARK.sub("", line).rstrip() for line in text.split("\n"))
