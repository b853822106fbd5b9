"""``gradlint check``: what each flag and setting does, and what the exit status says."""

import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest
from click.testing import Result

from gradlint import registry
from gradlint.cli.progress import Bar
from gradlint.finding import Finding
from gradlint.project import Project
from gradlint.rule import Rule

Write = Callable[[Mapping[str, str]], None]
Gradlint = Callable[..., Result]


class Snapshot(Protocol):
    """pytest-snapshot's fixture, which comes without types."""

    def assert_match(self, value: str, snapshot_name: str) -> None: ...


def codes(result: Result) -> list[str]:
    return [finding["code"] for finding in json.loads(result.stdout)["findings"]]


def test_nothing_found_is_0(gradlint: Gradlint, write: Write) -> None:
    write({"a.py": "x = 1\n"})
    result = gradlint("check")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "No findings in 1 file.\n", "")


def test_a_finding_is_1(gradlint: Gradlint, write: Write, snapshot: Snapshot) -> None:
    write({"pkg/a.py": "def f():\n    return flag_me()\n", "b.py": "x = 1\n"})
    result = gradlint("check")
    assert result.exit_code == 1
    snapshot.assert_match(result.stdout, "finding.txt")
    assert result.stderr == ""


def test_advice_of_a_warning_rule_is_off_unless_selected(
    gradlint: Gradlint, write: Write, rules: list[Rule], flags: Callable[..., Rule]
) -> None:
    rules[:] = [flags("flag_me", finding_severity="advice")]
    write({"a.py": "flag_me()\n"})
    assert gradlint("check").exit_code == 0
    for selector in ("XY101", "XY1", "ALL"):
        assert codes(gradlint("check", "--extend-select", selector, "--output-format", "json")) == ["XY101"]
    write({"gradlint.toml": 'select = ["XY"]\n'})
    assert codes(gradlint("check", "--output-format", "json")) == ["XY101"]


def test_a_file_that_cannot_be_checked_is_2_and_the_others_are_reported(gradlint: Gradlint, write: Write) -> None:
    write({"a.py": "flag_me()\n", "b.py": "x = (\n"})
    result = gradlint("check", "--output-format", "concise")
    assert result.exit_code == 2
    assert "a.py:1:1: XY101 `flag_me` is called\n" in result.stdout
    assert "b.py:1:5: failed syntax error" in result.stdout


def test_a_rule_that_raises_is_2_and_the_others_are_reported(
    gradlint: Gradlint, write: Write, rules: list[Rule]
) -> None:
    def check(project: Project) -> Iterator[Finding]:
        raise LookupError("no such thing")

    rules[1] = replace(rules[1], check=check)
    write({"a.py": "flag_me()\n"})
    result = gradlint("check", "--output-format", "concise")
    assert result.exit_code == 2
    assert "XY101 `flag_me` is called" in result.stdout
    assert "failed rule XY102 (spare-me) failed: LookupError: no such thing" in result.stdout
    assert f"{__file__}:" in result.stdout


def test_exit_zero_hides_findings_but_no_failures(gradlint: Gradlint, write: Write) -> None:
    write({"a.py": "flag_me()\n"})
    assert gradlint("check", "--exit-zero").exit_code == 0
    assert gradlint("check", "--exit-zero", "a.py", "none.py").exit_code == 2


def test_a_path_that_does_not_exist_is_a_failure(gradlint: Gradlint, write: Write) -> None:
    write({"a.py": "flag_me()\n"})
    result = gradlint("check", "none.py", "a.py", "--output-format", "concise")
    assert result.exit_code == 2
    assert "none.py:1:1: failed no such file or folder\n" in result.stdout
    assert "a.py:1:1: XY101" in result.stdout


def test_a_folder_without_python_is_a_warning(gradlint: Gradlint, write: Write) -> None:
    write({"docs/readme.txt": "flag_me()"})
    result = gradlint("check", "docs")
    assert result.exit_code == 0
    assert result.stderr == "warning: no Python files in docs\n"


def test_paths_are_shown_from_the_current_folder(gradlint: Gradlint, write: Write, folder: Path) -> None:
    write({"sub/a.py": "flag_me()\n", "../beside/b.py": "flag_me()\n"})
    result = gradlint("check", folder / "sub", "../beside", "--output-format", "concise", "--quiet")
    outside = folder.parent / "beside" / "b.py"
    assert sorted(result.stdout.splitlines()) == sorted(
        ["sub/a.py:1:1: XY101 `flag_me` is called", f"{outside}:1:1: XY101 `flag_me` is called"]
    )


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ([], ["XY101", "XY102"]),
        (["--select", "XY101"], ["XY101"]),
        (["--select", "XY102,XY2"], ["XY102", "XY201"]),
        (["--select", "XY102", "--select", "XY201"], ["XY102", "XY201"]),
        (["--select", "ALL"], ["XY101", "XY102", "XY201"]),
        (["--ignore", "XY1"], []),
        (["--extend-select", "XY201"], ["XY101", "XY102", "XY201"]),
        (["--select", "ALL", "--ignore", "XY10"], ["XY201"]),
    ],
)
def test_flags_choose_rules(gradlint: Gradlint, write: Write, given: list[str], found: list[str]) -> None:
    write({"a.py": "flag_me(), spare_me(), advise()\n"})
    assert codes(gradlint("check", "--output-format", "json", *given)) == found


@pytest.mark.parametrize(
    ("settings", "given", "found"),
    [
        ('select = ["XY201"]', [], ["XY201"]),
        ('ignore = ["XY101"]', [], ["XY102"]),
        ('ignore = ["XY101"]', ["--select", "XY101"], ["XY101"]),
        ('ignore = ["XY101"]', ["--extend-select", "XY101"], ["XY101", "XY102"]),
        ('select = ["XY1"]', ["--ignore", "XY101"], ["XY102"]),
        ('extend-select = ["XY2"]', ["--ignore", "XY1"], ["XY201"]),
        ('severity = { XY101 = "off" }', [], ["XY102"]),
        ('severity = { XY101 = "off" }', ["--select", "XY101"], ["XY101"]),
        ('severity = { XY201 = "warning" }', [], ["XY101", "XY102", "XY201"]),
        ('severity = { XY = "off", XY101 = "error" }', [], ["XY101"]),
        ('severity = { XY101 = "advice" }', [], ["XY102"]),
        ('per-file-ignores = { "*.py" = ["XY102"] }', [], ["XY101"]),
        ('per-file-ignores = { "/other/*" = ["XY102"] }', [], ["XY101", "XY102"]),
        ('per-file-ignores = { "a.py" = ["ALL"] }', [], []),
    ],
)
def test_settings_choose_rules_and_flags_come_last(
    gradlint: Gradlint, write: Write, settings: str, given: list[str], found: list[str]
) -> None:
    write({"a.py": "flag_me(), spare_me(), advise()\n", "gradlint.toml": settings})
    assert codes(gradlint("check", "--output-format", "json", *given)) == found


def test_severity_can_be_set(gradlint: Gradlint, write: Write) -> None:
    write({"a.py": "flag_me()\n", "gradlint.toml": 'severity = { XY1 = "error" }'})
    result = gradlint("check", "--output-format", "json")
    assert json.loads(result.stdout)["summary"]["errors"] == 1


def test_patterns_are_relative_to_the_settings_file(
    gradlint: Gradlint, write: Write, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = 'extend-exclude = ["/src/old"]\nper-file-ignores = { "src/tests/*" = ["XY1"] }'
    text = "flag_me()\n"
    write({"gradlint.toml": settings, "src/a.py": text, "src/tests/b.py": text, "src/old/c.py": text})
    monkeypatch.chdir(folder / "src")
    result = gradlint("check", "--output-format", "concise", "--quiet")
    assert result.stdout == "a.py:1:1: XY101 `flag_me` is called\n"


def test_the_settings_of_the_first_path_hold(gradlint: Gradlint, write: Write) -> None:
    write({"gradlint.toml": 'ignore = ["XY101"]', "a.py": "flag_me()\n"})
    write({"inner/pyproject.toml": "[tool.gradlint]", "inner/b.py": "flag_me()\n"})
    assert gradlint("check", "a.py").exit_code == 0
    assert gradlint("check", "inner").exit_code == 1
    assert gradlint("check", "inner/b.py", "a.py").exit_code == 1


def test_settings_can_be_named_or_left_out(gradlint: Gradlint, write: Write) -> None:
    write({"gradlint.toml": 'ignore = ["XY101"]', "a.py": "flag_me()\n", "other.toml": 'ignore = ["XY102"]'})
    assert gradlint("check").exit_code == 0
    assert gradlint("check", "--config", "other.toml").exit_code == 1
    assert gradlint("check", "--isolated").exit_code == 1
    both = gradlint("check", "--isolated", "--config", "other.toml")
    assert both.exit_code == 2
    assert "--isolated" in both.stderr


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ('selct = ["XY"]', "gradlint.toml: selct: unknown setting; did you mean `select`?"),
        ('select = ["XY9"]', "gradlint.toml: unknown rule or prefix `XY9`"),
        ('severity = { XY9 = "error" }', "gradlint.toml: severity: unknown rule or prefix `XY9`"),
        (
            'per-file-ignores = { "a" = ["Q"] }',
            "gradlint.toml: per-file-ignores.a: unknown rule or prefix `Q`",
        ),
        ('per-file-ignores = { "!" = ["XY"] }', "`!` is not a valid pattern"),
        ('exclude = ["[z-a]"]', "`[z-a]` is not a valid pattern"),
    ],
)
def test_bad_settings_are_2(gradlint: Gradlint, write: Write, settings: str, message: str) -> None:
    write({"a.py": "flag_me()\n", "gradlint.toml": settings})
    result = gradlint("check")
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--select", "XY9"], "command line: unknown rule or prefix `XY9`"),
        (["--ignore", "flag-me"], "flag-me is `XY101`"),
        (["--config", "none.toml"], "none.toml: cannot read: No such file or directory"),
        (["--output-format", "sariff"], "'sariff' is not one of"),
        (["--output-file", "none/report.txt"], "cannot write none/report.txt: No such file or directory"),
        (["--unheard-of"], "No such option"),
    ],
)
def test_bad_flags_are_2(gradlint: Gradlint, write: Write, arguments: list[str], message: str) -> None:
    write({"a.py": "flag_me()\n"})
    result = gradlint("check", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


def test_the_format_can_be_set_and_overruled(gradlint: Gradlint, write: Write) -> None:
    write({"a.py": "flag_me()\n", "gradlint.toml": 'output-format = "github"'})
    assert gradlint("check").stdout.startswith("::warning ")
    assert gradlint("check", "--output-format", "concise").stdout.startswith("a.py:1:1: XY101")


def test_a_report_can_go_to_a_file_without_colour(
    gradlint: Gradlint, write: Write, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write({"a.py": "flag_me()  # é\n"})
    monkeypatch.setenv("FORCE_COLOR", "1")
    result = gradlint("check", "--output-file", "report.txt")
    assert (result.exit_code, result.stdout) == (1, "")
    report = (folder / "report.txt").read_text(encoding="utf-8")
    assert "\x1b" not in report
    assert "flag_me()  # é" in report


@pytest.mark.parametrize(
    ("environment", "colored"),
    [
        ({}, False),
        ({"FORCE_COLOR": "1"}, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        ({"FORCE_COLOR": "1", "NO_COLOR": ""}, True),
        ({"FORCE_COLOR": ""}, False),
    ],
)
def test_colour_is_asked_for(
    gradlint: Gradlint,
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    colored: bool,
) -> None:
    write({"a.py": "flag_me()\n"})
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert ("\x1b[" in gradlint("check").stdout) == colored


def test_statistics_count_per_rule(gradlint: Gradlint, write: Write) -> None:
    write({"a.py": "flag_me()\nflag_me()\nspare_me()\n"})
    result = gradlint("check", "--statistics")
    assert result.exit_code == 1
    assert result.stdout == "2 XY101 flag-me\n1 XY102 spare-me\n1 error, 2 warnings in 1 file.\n"


def test_quiet_prints_findings_only(gradlint: Gradlint, write: Write) -> None:
    write({"a.py": "x = 1\n"})
    assert gradlint("check", "--quiet").stdout == ""


def test_verbose_tells_on_standard_error(gradlint: Gradlint, write: Write, folder: Path) -> None:
    write({"a.py": "x = 1\n", "gradlint.toml": ""})
    result = gradlint("check", "--verbose")
    assert f"settings: {folder / 'gradlint.toml'}; rules: 4; files: 1" in result.stderr
    assert result.stdout == "No findings in 1 file.\n"


def test_suppressed_findings_are_counted(gradlint: Gradlint, write: Write) -> None:
    write({"a.py": "flag_me()  # gradlint: ignore[XY101] wanted\n"})
    result = gradlint("check")
    assert (result.exit_code, result.stdout) == (0, "No findings in 1 file (1 suppressed).\n")


def test_rules_on_comments_can_be_left_out(gradlint: Gradlint, write: Write) -> None:
    write({"a.py": "x = 1  # gradlint: ignore[XY101, XY999]\n"})
    as_json = ("check", "--output-format", "json")
    assert codes(gradlint(*as_json)) == ["GL901", "GL902"]
    assert codes(gradlint(*as_json, "--ignore", "GL901")) == ["GL902"]
    assert codes(gradlint(*as_json, "--select", "XY")) == []


def test_standard_input_is_read(gradlint: Gradlint) -> None:
    result = gradlint("check", "-", "--output-format", "concise", "-q", input=b"x = '\xc3\xa9'; flag_me()\n")
    assert (result.exit_code, result.stdout) == (1, "<stdin>:1:10: XY101 `flag_me` is called\n")


def test_standard_input_can_have_a_name(gradlint: Gradlint, write: Write) -> None:
    write({"pkg/gradlint.toml": 'per-file-ignores = { "t.py" = ["XY101"] }'})
    arguments = ("check", "-", "--output-format", "concise", "-q", "--stdin-filename")
    assert gradlint(*arguments, "pkg/a.py", input=b"flag_me()\n").stdout.startswith("pkg/a.py:1:1: XY101")
    assert gradlint(*arguments, "pkg/t.py", input=b"flag_me()\n").exit_code == 0


def test_standard_input_may_be_broken(gradlint: Gradlint) -> None:
    result = gradlint("check", "-", "--output-format", "concise", input=b"x = '\xff'\n")
    assert result.exit_code == 2
    assert result.stdout.startswith("<stdin>:1:6: failed cannot decode as utf-8")


def test_files_can_be_shown(gradlint: Gradlint, write: Write) -> None:
    write({"b/c.py": "", "a.py": "x = (\n", "venv/lib/d.py": "", "readme.md": ""})
    result = gradlint("check", "--show-files")
    assert (result.exit_code, result.stdout) == (0, "a.py\nb/c.py\n")
    missing = gradlint("check", "--show-files", "none")
    assert (missing.exit_code, missing.stderr) == (2, "none: no such file or folder\n")


def test_settings_can_be_shown(gradlint: Gradlint, write: Write, folder: Path, snapshot: Snapshot) -> None:
    write(
        {
            "pyproject.toml": """
[tool.gradlint]
select = ["XY"]
exclude = ["vendor"]
guards = ["quietly"]
models = ["net"]
inference-functions = ["serve"]
per-file-ignores = { "tests/*" = ["XY1"] }
severity = { XY101 = "error" }
"""
        }
    )
    result = gradlint("check", "--show-settings", "--force-exclude")
    assert result.exit_code == 0
    snapshot.assert_match(result.stdout.replace(str(folder), "HERE"), "settings.txt")


def test_the_cache_can_be_left_out(gradlint: Gradlint, write: Write, folder: Path) -> None:
    write({"a.py": "x = 1\n"})
    assert gradlint("check", "--no-cache").exit_code == 0
    assert [path.name for path in folder.iterdir()] == ["a.py"]


def test_the_other_gradlint_is_named(gradlint: Gradlint, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write({"a.py": "x = 1\n"})
    monkeypatch.setattr(registry, "namesake_installed", lambda: True)
    result = gradlint("check")
    assert result.exit_code == 0
    assert "diffusion MRI" in result.stderr


class Terminal(io.StringIO):
    """A stream that says it is a terminal, or not."""

    def __init__(self, is_terminal: bool) -> None:
        super().__init__()
        self.is_terminal = is_terminal

    def isatty(self) -> bool:
        return self.is_terminal


@pytest.mark.parametrize(
    ("is_terminal", "quiet", "patience", "shown"),
    [
        (True, False, 0.0, True),
        (False, False, 0.0, False),
        (True, True, 0.0, False),
        (True, False, 60.0, False),
    ],
)
def test_a_bar_is_shown_on_terminals_after_a_while(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool, quiet: bool, patience: float, shown: bool
) -> None:
    monkeypatch.setattr("gradlint.cli.progress.PATIENCE", patience)
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal(is_terminal)
    with Bar(stream, quiet=quiet) as bar:
        bar.show(1, 2)
        bar.show(2, 2)
    assert ("checking" in stream.getvalue()) == shown
    assert bool(stream.getvalue()) == shown
