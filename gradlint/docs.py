"""What is written from the rules' own pages: the table in README.md, and the catalogue rules/README.md.

``python -m gradlint.docs`` writes both, in the current folder; with ``--check`` it only tells whether they
are current: exit status 1 and the difference if not.
"""

import difflib
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from markdown_it import MarkdownIt

from gradlint import join, registry, suppress
from gradlint.rule import Rule

START, END = "<!-- rules -->", "<!-- /rules -->"
CATALOGUE = "rules/README.md"
_INTRODUCTION = """\
# Rules

Written by `python -m gradlint.docs` from the pages in the rule files; edit those. The examples are tests:
each line that ends in a code gets exactly that finding, and what the comments below an example say
(`# raises:`, `# keeps:`, `# shows:` ...) is checked by running it on PyTorch. Rules whose severity is
*advice* are off unless selected.
"""


class DocsError(Exception):
    """A folder that the rules cannot be written into."""


def main(arguments: Sequence[str]) -> int:
    """Write or check the generated parts; the exit status."""
    root = Path.cwd()
    rules = [rule for rule in registry.load((*suppress.RULES, *join.RULES)) if _source(rule).is_relative_to(root)]
    if not rules:
        raise DocsError(f"no rule is defined below {root}")
    wanted = generated(rules, {"README.md": (root / "README.md").read_text(encoding="utf-8")})
    if "--check" in arguments:
        difference = list(_difference(root, wanted))
        sys.stdout.writelines(difference)
        return 1 if difference else 0
    for path, text in wanted.items():
        (root / path).write_text(text, encoding="utf-8")
    return 0


def generated(rules: Iterable[Rule], existing: Mapping[str, str]) -> dict[str, str]:
    """The new text of each file that has generated parts, by path.

    Raises:
        DocsError: when README.md lacks the two markers.
    """
    rules = tuple(rules)
    before, start, rest = existing["README.md"].partition(START)
    _, end, after = rest.partition(END)
    if not (start and end):
        raise DocsError(f"README.md lacks the markers {START} and {END}")
    return {
        "README.md": f"{before}{START}\n{table(rules, CATALOGUE)}{END}{after}",
        CATALOGUE: catalogue(rules),
    }


def table(rules: Iterable[Rule], link: str = "") -> str:
    """One row per rule, each with a link to its page in the file ``link`` (empty: the same file)."""
    rows = (
        f"| [{rule.code}]({link}#{_anchor(rule)}) | {rule.name} | {rule.severity} | {_cell(rule.summary)} |"
        for rule in rules
    )
    return "\n".join(["| Code | Name | Severity | What it finds |", "|---|---|---|---|", *rows]) + "\n"


def catalogue(rules: Iterable[Rule]) -> str:
    """All pages, one after another, under a table of contents."""
    rules = tuple(rules)
    pages = (f"\n## {rule.code} {rule.name}\n\n*{_standing(rule)}*\n\n{demoted(rule.page)}\n" for rule in rules)
    return f"{_INTRODUCTION}\n{table(rules)}{''.join(pages)}"


def demoted(page: str) -> str:
    """A page with each heading one level further down; comments in code stay as they are."""
    lines = page.splitlines()
    for token in MarkdownIt().parse(page):
        if token.type == "heading_open" and token.map is not None:
            lines[token.map[0]] = f"#{lines[token.map[0]]}"
    return "\n".join(lines)


def _difference(root: Path, wanted: Mapping[str, str]) -> Iterator[str]:
    for path, text in wanted.items():
        file = root / path
        now = file.read_text(encoding="utf-8") if file.exists() else ""
        yield from difflib.unified_diff(
            now.splitlines(keepends=True), text.splitlines(keepends=True), path, f"{path} (from the rules)"
        )


def _standing(rule: Rule) -> str:
    off = ", off unless selected" if rule.severity == "advice" else ""
    return f"{rule.severity}{off}, since {rule.since}"


def _anchor(rule: Rule) -> str:
    return f"{rule.code.lower()}-{rule.name}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _source(rule: Rule) -> Path:
    return Path(sys.modules[rule.module].__file__ or "").resolve()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
