"""Comments that silence findings, and complaints about comments that do not."""

import tokenize
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from gradlint import suppress
from gradlint.diagnostic import Outcome
from gradlint.engine import Policy, run
from gradlint.finding import Finding
from gradlint.project import Project
from gradlint.rule import Rule
from gradlint.source import Source

Flags = Callable[..., Rule]


@pytest.fixture
def rules(flags: Flags) -> list[Rule]:
    return [flags("flag_me"), flags("spare_me", "XY102"), *suppress.RULES]


@pytest.fixture
def check(rules: list[Rule]) -> Callable[[str], Outcome]:
    return lambda text: run([Source("a.py", text)], rules, policy=Policy(known=rules))


def found(outcome: Outcome) -> list[tuple[int, str]]:
    return [(diagnostic.span.line, diagnostic.code) for diagnostic in outcome.diagnostics]


def mended(text: str, outcome: Outcome) -> str:
    """The text after the fix of its only finding that has one."""
    [fix] = [diagnostic.fix for diagnostic in outcome.diagnostics if diagnostic.fix is not None]
    [edit] = fix.edits
    assert fix.applicability == "safe"
    lines = text.splitlines(keepends=True)
    starts = [sum(map(len, lines[:n])) for n in range(len(lines) + 1)]
    start = starts[edit.span.line - 1] + edit.span.column - 1
    end = starts[edit.span.end_line - 1] + edit.span.end_column - 1
    return text[:start] + edit.text + text[end:]


@pytest.mark.parametrize(
    "text",
    [
        "flag_me()  # gradlint: ignore[XY101]\n",
        "flag_me()  # gradlint: ignore[XY101] because it is so\n",
        "flag_me()  # gradlint: ignore[XY101]: because it is so\n",
        "flag_me()  # gradlint:ignore[ xy101 ]\n",
        "flag_me()  #gradlint: ignore\n",
        "flag_me()  # gradlint: ignore because it is so\n",
        "flag_me()  # noqa: XY101\n",
        "flag_me()  # noqa:XY101 a reason\n",
        "flag_me()  # NOQA: E501, XY101\n",
        "flag_me()  # noqa: E501 XY101\n",
        "flag_me()  # noqa\n",
        "flag_me()  # type: ignore  # gradlint: ignore[XY101]  # pragma: no cover\n",
        "x = [\n    1,\n    flag_me(),  # gradlint: ignore[XY101]\n]\n",
        "x = [  # gradlint: ignore[XY101]\n    1,\n    flag_me(),\n]\n",
        "x = [\n    flag_me(),\n]  # gradlint: ignore[XY101]\n",
        "x = [\n    # gradlint: ignore[XY101]\n    flag_me(),\n]\n",
        "flag_me(\n    1,\n)  # gradlint: ignore[XY101]\n",
        "x = flag_me() + \\\n    1  # gradlint: ignore[XY101]\n",
        "if flag_me():  # gradlint: ignore[XY101]\n    pass\n",
        "x = '''\n# not this\n''', flag_me()  # gradlint: ignore[XY101]\n",
        "# gradlint: ignore-file[XY101] generated\n\n\nflag_me()\nflag_me()\n",
        "flag_me()\nif 1:\n    pass\n    # gradlint: ignore-file\n",
    ],
)
def test_a_comment_silences(check: Callable[[str], Outcome], text: str) -> None:
    outcome = check(text)
    assert found(outcome) == []
    assert outcome.suppressed == text.count("flag_me()") + text.count("flag_me(\n")


@pytest.mark.parametrize(
    "text",
    [
        "flag_me()  # ignore[XY101]\n",
        "flag_me()  # gradlint\n",
        "flag_me()  # noqa: E501\n",
        "flag_me()  # noqa: some words\n",
        "flag_me()  # noqa-whatever\n",
        "flag_me()  # flake8: noqa\n",
        "x = '# gradlint: ignore[XY101]', flag_me()\n",
        "'''\n# gradlint: ignore-file[XY101]\n'''\nflag_me()\n",
        "flag_me()  # gradlint: finds this\n",
        "# noqa\nflag_me()\n",
    ],
)
def test_anything_else_does_not(check: Callable[[str], Outcome], text: str) -> None:
    outcome = check(text)
    assert [code for _, code in found(outcome)] == ["XY101"]
    assert outcome.suppressed == 0


def test_a_comment_reaches_its_own_statement_only(check: Callable[[str], Outcome]) -> None:
    text = "if flag_me():  # gradlint: ignore[XY101]\n    flag_me()\nflag_me()\n"
    assert found(check(text)) == [(2, "XY101"), (3, "XY101")]


def test_a_comment_silences_its_own_codes_only(check: Callable[[str], Outcome]) -> None:
    assert found(check("flag_me(), spare_me()  # gradlint: ignore[XY102]\n")) == [(1, "XY101")]


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("x = 1  # gradlint: ignore[XY101] why\n", "x = 1\n"),
        ("x = 1  # gradlint: ignore\n", "x = 1\n"),
        ("x = 1\n# gradlint: ignore[XY101]\ny = 2\n", "x = 1\ny = 2\n"),
        ("x = 1\n# gradlint: ignore-file[XY101]", "x = 1\n"),
        ("x = 1  # gradlint: ignore[XY101]  # type: ignore\n", "x = 1  # type: ignore\n"),
        ("x = 1  # type: ignore  # gradlint: ignore[XY101] see #12\n", "x = 1  # type: ignore\n"),
        ("x = 1  # noqa: XY101\n", "x = 1\n"),
        ("x = 1  # noqa: E501, XY101\n", "x = 1  # noqa: E501\n"),
        ("x = 1  # noqa: XY101 E501\n", "x = 1  # noqa: E501\n"),
        ("flag_me()  # gradlint: ignore[XY102, XY101]\n", "flag_me()  # gradlint: ignore[XY101]\n"),
        ("# gradlint: ignore-file[XY101,XY102]\nflag_me()\n", "# gradlint: ignore-file[XY101]\nflag_me()\n"),
    ],
)
def test_an_unused_suppression_is_found_and_can_be_removed(
    check: Callable[[str], Outcome], text: str, rest: str
) -> None:
    outcome = check(text)
    assert [code for _, code in found(outcome)] == ["GL901"]
    assert mended(text, outcome) == rest
    assert found(check(rest)) == []


@pytest.mark.parametrize(
    "text",
    [
        "x = 1  # noqa\n",
        "x = 1  # noqa: E501, F401\n",
        "x = 1  # gradlint: ignore[XY101, GL901]\n",
        "x = 1  # gradlint: ignore[XY101]\n# gradlint: ignore-file[GL901]\n",
        "x = 1  # gradlint: ignore[GL902]\n",
    ],
)
def test_these_are_never_called_unused(check: Callable[[str], Outcome], text: str) -> None:
    assert found(check(text)) == []


def test_of_two_comments_in_one_statement_each_is_used_for_its_own_line(
    check: Callable[[str], Outcome],
) -> None:
    text = "x = [\n    flag_me(),  # gradlint: ignore[XY101]\n    flag_me(),  # gradlint: ignore[XY101]\n]\n"
    assert found(check(text)) == []
    assert found(check(text.replace("    flag_me(),", "    1,", 1))) == [(2, "GL901")]


def test_a_comment_beside_one_for_the_file_is_used(check: Callable[[str], Outcome]) -> None:
    text = "# gradlint: ignore-file[XY101]\nflag_me()  # gradlint: ignore[XY101]\n"
    assert found(check(text)) == [(1, "GL901")]


def test_only_rules_that_ran_are_judged(rules: list[Rule], flags: Flags) -> None:
    source = Source("a.py", "x = 1  # gradlint: ignore[XY102]\ny = 2  # gradlint: ignore\n")
    some = [rule for rule in rules if rule.code != "XY102"]
    assert found(run([source], some, policy=Policy(known=rules))) == []

    elsewhere = Policy(known=rules, ignored=lambda path: frozenset({"XY102"}))
    assert found(run([source], rules, policy=elsewhere)) == []

    advice = flags("advise", "XY103", "advice")
    assert found(run([source], rules, policy=Policy(known=[*rules, advice]))) == [(1, "GL901"), (2, "GL901")]


def test_a_rule_that_broke_did_not_run(rules: list[Rule]) -> None:
    def check(project: Project) -> Iterator[Finding]:
        raise ValueError

    broken = [replace(rule, check=check) if rule.code == "XY102" else rule for rule in rules]
    source = Source("a.py", "x = 1  # gradlint: ignore[XY102]\ny = 2  # gradlint: ignore\n")
    assert found(run([source], broken, policy=Policy(known=broken))) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1  # gradlint: ignore[XY999]\n", "there is no rule `XY999`"),
        ("x = 1  # gradlint: ignore[XY]\n", "there is no rule `XY`"),
        ("x = 1  # gradlint: ignore[E501]\n", "there is no rule `E501`"),
        ("x = 1  # noqa: GL999\n", "there is no rule `GL999`"),
        ("x = 1  # gradlint: ignore-file[XY999]\n", "there is no rule `XY999`"),
    ],
)
def test_an_unknown_code_is_found_and_can_be_removed(check: Callable[[str], Outcome], text: str, message: str) -> None:
    outcome = check(text)
    assert found(outcome) == [(1, "GL902")]
    assert outcome.diagnostics[0].message.startswith(message)
    assert mended(text, outcome) == "x = 1\n"


def test_a_misspelt_code_gets_a_hint(check: Callable[[str], Outcome]) -> None:
    [diagnostic] = check("x = 1  # gradlint: ignore[XY1O1]\n").diagnostics
    assert diagnostic.message == "there is no rule `XY1O1`; did you mean `XY101`?"


def test_a_rules_name_is_replaced_by_its_code(check: Callable[[str], Outcome]) -> None:
    text = "flag_me()  # gradlint: ignore[flag-me]\n"
    outcome = check(text)
    assert found(outcome) == [(1, "XY101"), (1, "GL902")]
    assert mended(text, outcome) == "flag_me()  # gradlint: ignore[XY101]\n"


@pytest.mark.parametrize(
    ("comment", "fault"),
    [
        ("ignore XY101", "codes belong in brackets"),
        ("ignore: XY101", "codes belong in brackets"),
        ("ignore[XY101", "the bracket is not closed"),
        ("ignore[]", "the brackets are empty"),
        ("ignroe[XY101]", "gradlint does not know the directive `ignroe`"),
        ("disable=XY101", "gradlint does not know the directive `disable`"),
    ],
)
def test_a_suppression_that_cannot_be_read_silences_nothing_and_says_so(
    check: Callable[[str], Outcome], comment: str, fault: str
) -> None:
    outcome = check(f"flag_me()  # gradlint: {comment}\n")
    assert found(outcome) == [(1, "XY101"), (1, "GL902")]
    assert outcome.diagnostics[1].message.endswith(fault)


def test_a_page_example_says_what_happens(check: Callable[[str], Outcome]) -> None:
    text = "x = 1  # gradlint: ignore[XY101]  # GL901\n"
    assert found(check(text)) == [(1, "GL901")]


def test_lines_must_do_where_the_tokenizer_gives_up(
    check: Callable[[str], Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(readline: object) -> object:
        raise tokenize.TokenError("newer syntax", (1, 0))

    monkeypatch.setattr(tokenize, "generate_tokens", refuse)
    assert found(check("flag_me()\nflag_me()  # gradlint: ignore[XY101]\n")) == [(1, "XY101")]


def test_a_file_without_the_marker_is_not_tokenized(
    check: Callable[[str], Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokenize, "generate_tokens", None)
    assert found(check("flag_me()  # a comment about gradlint and noqa\n")) == [(1, "XY101")]


@pytest.mark.parametrize("comment", ["# noqa", "# noqa: F401, E501", "# NOQA:E501 long"])
def test_what_speaks_to_other_tools_alone_is_not_tokenized_where_nothing_was_found(
    check: Callable[[str], Outcome], monkeypatch: pytest.MonkeyPatch, comment: str
) -> None:
    monkeypatch.setattr(tokenize, "generate_tokens", None)
    assert found(check(f"import os  {comment}\n")) == []


@pytest.mark.parametrize("comment", ["# noqa: F401, XY101", "# noqa:gl999", "# gradlint: ignore"])
def test_what_may_speak_to_us_is_judged_where_nothing_was_found(check: Callable[[str], Outcome], comment: str) -> None:
    assert len(check(f"import os  {comment}\n").diagnostics) == 1
