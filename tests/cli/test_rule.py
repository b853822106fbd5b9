"""``gradlint rule``: pages, lists and JSON."""

import json
from collections.abc import Callable

import pytest
from click.testing import Result

Gradlint = Callable[..., Result]

PAGE = "# XY102 spare-me\n\n*error, since 0.1.0*\n\nAbout spare_me.\n"


@pytest.mark.parametrize("name", ["XY102", "xy102", "spare-me"])
def test_a_page_is_shown(gradlint: Gradlint, name: str) -> None:
    result = gradlint("rule", name)
    assert (result.exit_code, result.stdout) == (0, PAGE)
    assert gradlint("rule", name, "--output-format", "markdown").stdout == PAGE


def test_without_a_code_the_rules_are_listed(gradlint: Gradlint) -> None:
    listed = gradlint("rule").stdout.splitlines()
    assert listed[:3] == [
        "XY101  warning  flag-me: About flag_me",
        "XY102  error    spare-me: About spare_me",
        "XY201  advice   advise: About advise",
    ]
    assert [line.split()[0] for line in listed[3:]] == ["GL901", "GL902"]


def test_all_pages_are_shown(gradlint: Gradlint) -> None:
    text = gradlint("rule", "--all").stdout
    assert f"\n\n{PAGE}\n# XY201" in text
    assert "# GL901 unused-suppression" in text


def test_json_has_the_page_and_the_facts(gradlint: Gradlint) -> None:
    one = json.loads(gradlint("rule", "XY102", "--output-format", "json").stdout)
    assert one == {
        "code": "XY102",
        "name": "spare-me",
        "severity": "error",
        "since": "0.1.0",
        "summary": "About spare_me",
        "page": "About spare_me.",
    }
    every = json.loads(gradlint("rule", "--all", "--output-format", "json").stdout)
    assert [rule["code"] for rule in every] == ["XY101", "XY102", "XY201", "GL901", "GL902"]


def test_a_terminal_gets_it_rendered(gradlint: Gradlint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    text = gradlint("rule", "GL901").stdout
    assert "\x1b[" in text
    assert "```" not in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["XY999"], "unknown rule or prefix `XY999`"),
        (["XY1O1"], "did you mean `XY101`?"),
        (["XY1"], "`XY1` stands for several rules: XY101, XY102"),
        (["XY101", "--all"], "give either a code or --all"),
    ],
)
def test_anything_else_is_2(gradlint: Gradlint, arguments: list[str], message: str) -> None:
    result = gradlint("rule", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
