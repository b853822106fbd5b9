"""Fixes are applied until none is left, and what breaks its promise is taken back."""

from collections.abc import Callable, Iterator

import pytest

from gradlint.engine import Mending, mend
from gradlint.finding import Applicability, Edit, Finding, Place
from gradlint.project import Project
from gradlint.rule import Rule
from gradlint.source import Source

Flags = Callable[..., Rule]
BOTH: tuple[Applicability, ...] = ("safe", "unsafe")


def replacing(text: str) -> Edit:
    return Edit(Place("", 0), "replace", text)


def texts(result: Mending) -> list[str]:
    return [result.sources[path].text for path in sorted(result.sources)]


def test_all_files_are_mended_and_the_outcome_is_of_what_they_are_then(flags: Flags) -> None:
    rules = [flags("flag_me", edit=replacing("mended")), flags("spare_me", "XY102")]
    sources = [Source("a.py", "x = 1  # keep\nflag_me()\nspare_me()\n"), Source("b.py", "y = flag_me()\n")]
    result = mend(sources, rules)
    assert texts(result) == ["x = 1  # keep\nmended\nspare_me()\n", "y = mended\n"]
    assert [found.code for found in result.outcome.diagnostics] == ["XY102"]
    assert (len(result.made), result.refused) == (2, ())


def test_fixes_inside_one_another_take_turns(flags: Flags) -> None:
    rules = [flags("outer", edit=replacing("inner()")), flags("inner", "XY102", edit=replacing("0"))]
    result = mend([Source("a.py", "outer(inner())\nouter()\n")], rules)
    assert texts(result) == ["0\nouter()\n"]
    assert [offer.diagnostic.span.line for offer in result.refused] == [2]


def test_a_fix_that_leaves_its_finding_is_refused(flags: Flags) -> None:
    result = mend([Source("a.py", "flag_me()\n")], [flags("flag_me", edit=replacing("flag_me(1)"))])
    assert texts(result) == ["flag_me()\n"]
    assert (result.made, len(result.refused), len(result.outcome.diagnostics)) == ((), 1, 1)


def test_a_fix_that_brings_another_finding_is_refused(flags: Flags) -> None:
    rules = [flags("flag_me", edit=replacing("spare_me()")), flags("spare_me", "XY102")]
    assert texts(mend([Source("a.py", "flag_me()\n")], rules)) == ["flag_me()\n"]


def test_a_fix_that_breaks_the_file_is_refused(flags: Flags) -> None:
    result = mend([Source("a.py", "flag_me()\n")], [flags("flag_me", edit=replacing(")("))])
    assert texts(result) == ["flag_me()\n"]
    assert result.outcome.failures == ()


@pytest.mark.parametrize("bad", range(5))
def test_one_bad_fix_does_not_keep_the_others_back(flags: Flags, bad: int) -> None:
    rules = [flags("good", edit=replacing("0")), flags("bad", "XY102", edit=replacing(")("))]
    lines = ["bad()" if number == bad else "good()" for number in range(5)]
    result = mend([Source("a.py", "\n".join(lines))], rules)
    assert texts(result) == ["\n".join("bad()" if number == bad else "0" for number in range(5))]
    assert (len(result.made), len(result.refused)) == (4, 1)


def test_nothing_is_changed_unless_allowed(flags: Flags) -> None:
    result = mend([Source("a.py", "flag_me()\n")], [flags("flag_me", edit=replacing("0"))], allowed=())
    assert texts(result) == ["flag_me()\n"]


def test_mending_what_is_mended_changes_nothing(flags: Flags) -> None:
    rules = [flags("flag_me", edit=replacing("0"))]
    once = mend([Source("a.py", "flag_me(flag_me())\n")], rules, allowed=BOTH)
    twice = mend(once.sources.values(), rules, allowed=BOTH)
    assert texts(once) == texts(twice) == ["0\n"]
    assert twice.made == ()


def test_a_file_that_cannot_be_parsed_is_left_and_the_others_are_mended(flags: Flags) -> None:
    sources = [Source("a.py", "x = (\n"), Source("b.py", "flag_me()\n")]
    result = mend(sources, [flags("flag_me", edit=replacing("0"))])
    assert texts(result) == ["x = (\n", "0\n"]
    assert [failure.path for failure in result.outcome.failures] == ["a.py"]


@pytest.mark.parametrize("allowed", [(), ("safe",)])
def test_dependencies_are_noted_only_where_a_fix_may_be_made(allowed: tuple[Applicability, ...]) -> None:
    noted: list[bool] = []

    def note(project: Project) -> Iterator[Finding]:
        noted.append(project.linker.files.numbering.most > 0)
        yield from ()

    rule = Rule("XY101", "note", "error", "0", "Page.", "gradlint.none", note)
    mend([Source("a.py", "x = 1\n")], [rule], allowed=allowed)
    assert noted == [bool(allowed)]
