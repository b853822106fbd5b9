"""A run: everything that can be checked is checked, and everything that cannot is told."""

import gc
import linecache
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from gradlint.diagnostic import Outcome
from gradlint.engine import Policy, run
from gradlint.finding import Edit, Finding, Place, Side, Span
from gradlint.fix import edited
from gradlint.project import Names, Project
from gradlint.rule import Rule
from gradlint.source import Source

Flags = Callable[..., Rule]
NOWHERE = Place("", 0)


def lines(outcome: Outcome) -> list[tuple[str, int, str]]:
    return [(found.path, found.span.line, found.code) for found in outcome.diagnostics]


def broken(error: Exception) -> Rule:
    def check(project: Project) -> Iterator[Finding]:
        yield Finding(Place("a.py", 0), "<module>", "half a result")
        raise error

    return Rule("XY900", "broken", "error", "0.1.0", "Breaks.", __name__, check)


def test_findings_are_placed_and_sorted(flags: Flags) -> None:
    sources = [
        Source("b.py", "def f():\n    return flag_me(\n        1)\n"),
        Source("a.py", "x = 1\ny = flag_me(flag_me())\n"),
    ]
    outcome = run(sources, [flags("flag_me")])
    assert [(found.path, found.span, found.function) for found in outcome.diagnostics] == [
        ("a.py", Span(2, 5, 2, 23), "<module>"),
        ("a.py", Span(2, 13, 2, 22), "<module>"),
        ("b.py", Span(2, 12, 3, 11), "f"),
    ]
    assert outcome.files == 2
    assert outcome.failures == ()


def test_columns_count_characters(flags: Flags) -> None:
    outcome = run([Source("a.py", "'日本\U0001f525é'; flag_me()\n")], [flags("flag_me")])
    assert outcome.diagnostics[0].span == Span(1, 9, 1, 18)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_any_line_end_counts_as_one(flags: Flags, end: str) -> None:
    text = end.join(["x = 1", "\f", "flag_me()", ""])
    assert lines(run([Source("a.py", text)], [flags("flag_me")])) == [("a.py", 3, "XY101")]


def test_advice_of_a_rule_of_more_weight_is_shown_where_it_is_selected(flags: Flags) -> None:
    rules = [flags("flag_me", finding_severity="advice"), flags("advise", "XY201", "advice")]
    source = Source("a.py", "flag_me()\nadvise()\nflag_me()  # gradlint: ignore[XY101] fine\n")
    assert lines(run([source], rules)) == [("a.py", 2, "XY201")]
    assert lines(run([source], rules, policy=Policy(advised=frozenset({"XY101"})))) == [
        ("a.py", 1, "XY101"),
        ("a.py", 2, "XY201"),
    ]


def test_a_file_that_does_not_parse_is_a_failure_and_the_others_are_checked(flags: Flags) -> None:
    sources = [Source("bad.py", "x = (\n"), Source("good.py", "flag_me()\n")]
    outcome = run(sources, [flags("flag_me")])
    assert [failure.path for failure in outcome.failures] == ["bad.py"]
    assert lines(outcome) == [("good.py", 1, "XY101")]
    assert outcome.files == 2


def test_a_rule_that_raises_is_named_with_its_line_and_the_others_go_on(flags: Flags) -> None:
    outcome = run([Source("a.py", "flag_me()\n")], [broken(ValueError("no\nluck")), flags("flag_me")])
    [failure] = outcome.failures
    assert failure.message == "rule XY900 (broken) failed: ValueError: no luck"
    assert failure.path == __file__
    assert "raise error" in linecache.getline(__file__, failure.line)
    assert lines(outcome) == [("a.py", 1, "XY101")]


def test_what_a_rule_says_of_other_files_than_the_one_it_breaks_on_stands() -> None:
    def check(project: Project) -> Iterator[Finding]:
        for module in project.modules:
            yield Finding(Place(module.path, 0), "<module>", "half a result, or a whole one")
            if module.path != "good.py":
                raise ValueError("no luck")

    texts = ["flag_me()\n", "flag_me()\n", "flag_me()  # gradlint: ignore[XY900]\n"]
    files = [Source(path, text) for path, text in zip(["bad.py", "good.py", "worse.py"], texts, strict=True)]
    outcome = run(files, [replace(broken(ValueError()), check=check, module="gradlint.none")])
    assert lines(outcome) == [("good.py", 1, "XY900")]
    assert [each.message for each in outcome.failures] == [
        "rule XY900 (broken) failed on bad.py: ValueError: no luck (and on 1 more)"
    ]


def test_endless_recursion_in_a_rule_is_its_failure(flags: Flags) -> None:
    def check(project: Project) -> Iterator[Finding]:
        return check(project)

    outcome = run([Source("a.py", "flag_me()\n")], [replace(broken(ValueError()), check=check), flags("flag_me")])
    assert "RecursionError" in outcome.failures[0].message
    assert lines(outcome) == [("a.py", 1, "XY101")]


def test_a_rule_that_names_an_unknown_file_is_a_failure() -> None:
    def check(project: Project) -> Iterator[Finding]:
        yield Finding(Place("elsewhere.py", 0), "<module>", "lost")

    outcome = run([Source("a.py", "x = 1\n")], [replace(broken(ValueError()), check=check)])
    assert "unknown file, elsewhere.py" in outcome.failures[0].message
    assert outcome.diagnostics == ()


def test_what_the_extractor_cannot_follow_is_a_failure_of_that_file_alone(
    flags: Flags, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gradlint.model import extract

    extract_well = extract.extract

    def extract_badly(source: Source) -> object:
        if source.path == "odd.py":
            raise KeyError("NewSyntax")
        return extract_well(source)

    monkeypatch.setattr(extract, "extract", extract_badly)
    outcome = run([Source("odd.py", "x\n"), Source("a.py", "flag_me()\n")], [flags("flag_me")])
    assert [(failure.path, "please report it" in failure.message) for failure in outcome.failures] == [("odd.py", True)]
    assert lines(outcome) == [("a.py", 1, "XY101")]


def test_notes_are_placed_in_other_files(flags: Flags) -> None:
    sources = [Source("a.py", "flag_me()\n"), Source("b.py", "\n\nwitness()\n")]
    [found] = run(sources, [flags("flag_me", notes="witness")]).diagnostics
    assert [(note.path, note.span, note.message) for note in found.notes] == [
        ("b.py", Span(3, 1, 3, 10), "`witness` is here")
    ]


@pytest.mark.parametrize(
    ("side", "span", "text"),
    [
        ("replace", Span(2, 9, 2, 18), "ok"),
        ("before", Span(2, 9, 2, 9), "ok"),
        ("after", Span(2, 18, 2, 18), "ok"),
        ("line-above", Span(2, 1, 2, 1), "    ok\n"),
    ],
)
def test_edits_are_placed(flags: Flags, side: Side, span: Span, text: str) -> None:
    rule = flags("flag_me", edit=Edit(NOWHERE, side, "ok"))
    [found] = run([Source("a.py", "def f():\n    x = flag_me()\n")], [rule]).diagnostics
    assert found.fix is not None
    assert [(edit.path, edit.span, edit.text) for edit in found.fix.edits] == [("a.py", span, text)]


@pytest.mark.parametrize(
    ("side", "line", "made"),
    [
        ("header", "    flag_me()  # x", "    ok\n        flag_me()  # x"),
        ("header", "\tflag_me(\n\t)", "\tok\n\t\tflag_me(\n\t)"),
        ("header", "    flag_me(); x", None),
        ("header", "    x; flag_me()", None),
        ("argument", "    f(1, a=flag_me())", "    f(1ok)"),
        ("argument", "    f(a=flag_me())", None),
    ],
)
def test_edits_that_need_room_are_offered_where_there_is_some(
    flags: Flags, side: Side, line: str, made: str | None
) -> None:
    source = Source("a.py", f"def f():\n{line}\n")
    [found] = run([source], [flags("flag_me", edit=Edit(NOWHERE, side, "ok"))]).diagnostics
    after = edited(source, found.fix.edits).text if found.fix is not None else None
    assert after == (None if made is None else f"def f():\n{made}\n")


def test_the_same_finding_twice_is_one(flags: Flags) -> None:
    rule = flags("flag_me")

    def twice(project: Project) -> Iterator[Finding]:
        yield from rule.check(project)
        yield from rule.check(project)

    assert len(run([Source("a.py", "flag_me()\n")], [replace(rule, check=twice)]).diagnostics) == 1


def test_more_can_be_analysed_than_is_reported(flags: Flags) -> None:
    sources = [
        Source("changed.py", "flag_me()\n"),
        Source("context.py", "witness()\nflag_me()\nx = 1  # gradlint: ignore[XY101]\n"),
        Source("broken.py", "x = (\n"),
    ]
    outcome = run(sources, [flags("flag_me", notes="witness")], report_only=["changed.py", "absent.py"])
    assert lines(outcome) == [("changed.py", 1, "XY101")]
    assert [note.path for note in outcome.diagnostics[0].notes] == ["context.py"]
    assert outcome.failures == ()
    assert outcome.files == 1


def test_severity_is_the_users_then_the_findings_then_the_rules(flags: Flags) -> None:
    source = Source("a.py", "flag_me()\n")
    plain, worse = flags("flag_me"), flags("flag_me", finding_severity="error")
    assert run([source], [plain]).diagnostics[0].severity == "warning"
    assert run([source], [worse]).diagnostics[0].severity == "error"
    decided = Policy(severities={"XY101": "advice"})
    assert run([source], [worse], policy=decided).diagnostics[0].severity == "advice"


def test_codes_can_be_ignored_by_path(flags: Flags) -> None:
    sources = [Source("a.py", "flag_me()\n"), Source("test_a.py", "flag_me()\nspare_me()\n")]
    policy = Policy(ignored=lambda path: frozenset({"XY101"} if path.startswith("test") else ()))
    outcome = run(sources, [flags("flag_me"), flags("spare_me", "XY102")], policy=policy)
    assert lines(outcome) == [("a.py", 1, "XY101"), ("test_a.py", 2, "XY102")]


def test_fingerprints_survive_moved_lines_and_tell_repetitions_apart(flags: Flags) -> None:
    def fingerprints(text: str) -> list[str]:
        return [found.fingerprint for found in run([Source("a.py", text)], [flags("flag_me")]).diagnostics]

    before = fingerprints("def f():\n    flag_me()\n    flag_me()\n")
    assert len(set(before)) == 2
    assert fingerprints("import os\n\n\ndef f():\n    x = 1\n    flag_me()\n\n    flag_me()\n") == before
    assert fingerprints("def f():\n  flag_me()\n  flag_me()  # gradlint: ignore\n") == before[:1]
    assert fingerprints("def g():\n    flag_me()\n")[0] not in before


def test_names_reach_the_project(flags: Flags) -> None:
    seen: list[Names] = []

    def check(project: Project) -> Iterator[Finding]:
        seen.append(project.names)
        yield from ()

    names = Names(guards=frozenset({"quietly"}))
    run([Source("a.py", "")], [replace(flags("x"), check=check)], names)
    assert seen == [names]


def test_progress_counts_to_the_end(flags: Flags) -> None:
    heard: list[tuple[int, int]] = []
    sources = [Source(f"{n}.py", "x\n") for n in range(3)]
    run(sources, [flags("a"), flags("b")], progress=lambda done, total: heard.append((done, total)))
    assert heard == sorted(heard)
    assert [*dict.fromkeys(heard)][:3] == [(1, 5), (2, 5), (3, 5)]
    assert heard[-1] == (5, 5)


def test_nothing_to_check_is_fine(flags: Flags) -> None:
    assert run([], [flags("flag_me")]) == Outcome(0, (), (), 0)


def _interrupt(done: int, total: int) -> None:
    raise KeyboardInterrupt


def test_an_interrupt_in_progress_comes_through(flags: Flags) -> None:
    with pytest.raises(KeyboardInterrupt):
        run([Source("a.py", "x\n")], [flags("flag_me")], progress=_interrupt)


def test_the_interpreter_is_left_as_it_was(flags: Flags) -> None:
    before = sys.getrecursionlimit()
    run([Source("a.py", "x = " + "-" * 900 + "1\n")], [flags("flag_me")])
    assert sys.getrecursionlimit() == before
    assert gc.isenabled()
    with pytest.raises(KeyboardInterrupt):
        run([Source("a.py", "x\n")], [], progress=_interrupt)
    assert sys.getrecursionlimit() == before
    assert gc.isenabled()
