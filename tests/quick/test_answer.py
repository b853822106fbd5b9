"""A quick answer is the answer of a full run, letter for letter."""

import itertools
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from gradlint import engine, join, registry, suppress
from gradlint.cli import cli
from gradlint.engine import Policy
from gradlint.quick import packs
from gradlint.quick.answer import answer
from gradlint.quick.triggers import BEGINNINGS, STEMS, WORDS
from gradlint.rule import Rule
from gradlint.source import Source
from gradlint.testing import Case, cases

RULES = registry.load(suppress.RULES)
PLAIN = {
    "one.py": b"import os\n\n\ndef join(path):\n    return os.path.join(path, 'a')\n",
    "empty.py": b"",
    "foreign.py": "name = 'Äpfel'\n".encode(),
    "windows.py": b"a = 1\r\nif a:\r\n    print('\\d')\r\n",
}
OTHER = {
    "broken.py": b"def (:\n",
    "torn.py": b"x = 'abc\n",
    "nul.py": b"a = 1\0\n",
    "latin.py": b"# coding: latin-1\na = '\xe4'\n",
    "bytes.py": b"a = '\xe4'\n",
    "marked.py": b"\xef\xbb\xbfa = 1\n",
    "wide.py": "a = 1\n".encode("utf-16"),
    "comment.py": b"a = 1  # gradlint: ignore[GL101]\n",
    "bare.py": b"a = 1  # noqa: GL999\n",
    "torch.py": b"import torch\ntorch.no_grad()\n",
    "spelt.py": "import ｔｏｒｃｈ\nｔｏｒｃｈ.manual()\n".encode(),
    "deep.py": b"a = " + b"-" * 3000 + b"1\n",
    "brackets.py": b"a = " + b"(" * 250 + b")" * 250 + b"\n",
    "long.py": b"if a:\n    pass\n" + b"elif b:\n    pass\n" * 1200,
    "control.py": b"a = \x01\n",
    "print.py": b"print 'two'\n",
}
SETTINGS = [
    "select = ['GL1', 'all']",
    "select = ['GL1', 'ALL']",
    "ignore = ['gl101']",
    "extend-select = ['GL952', 'GL901']",
    "select = ['']",
    "select = ['XX1']",
    "select = 'GL1'",
    "selct = ['GL1']",
    "exclude = ['one.py', 'a/**', '*_pb2.py']",
    "exclude = ['!']",
    "exclude = ['***']",
    "exclude = ['/']",
    "exclude = ['one.py']\nforce-exclude = true",
    "respect-gitignore = 'no'",
    "output-format = 'concise'",
    "output-format = 'json'",
    "output-format = 'fall'",
    "severity = { GL101 = 'off', GL2 = 'error' }",
    "severity = { GL101 = 'of' }",
    "severity = { GL777 = 'off' }",
    "per-file-ignores = { 'tests/*.py' = ['GL1'] }",
    "per-file-ignores = { 'tests/*.py' = ['GL777'] }",
    "guards = ['mylib.join']",
    "models = ['lib.nothing']",
    "baseline = 'none.json'",
    "a = ",
    "",
]


def full(arguments: Sequence[str]) -> tuple[str, str, int]:
    result = CliRunner().invoke(cli, list(arguments))
    return result.stdout, result.stderr, result.exit_code


def is_the_same(*arguments: str) -> bool:
    """Whether there is a quick answer; if there is one it must be that of a full run."""
    quick = answer(list(arguments))
    if quick is not None:
        assert (quick, "", 0) == full(arguments)
    return quick is not None


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "gradlint.toml").touch()
    monkeypatch.chdir(tmp_path)
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, data in (PLAIN | OTHER).items():
        (tmp_path / name).write_bytes(data)
    return tmp_path


def test_plain_files_are_answered_quickly(folder: Path) -> None:
    for count in range(1, len(PLAIN) + 1):
        for names in itertools.combinations(PLAIN, count):
            for flags in ((), ("-q",), ("--exit-zero", "--no-cache"), ("--isolated",)):
                assert is_the_same("check", *flags, *names)
    assert is_the_same("check", "one.py", "./one.py", str(folder / "one.py"))
    assert is_the_same("check", "--isolated", "-q", "one.py")
    assert is_the_same("check", "--jobs", "2", "one.py")


def test_colour_is_as_in_a_full_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[1m" in str(answer(["check", "one.py"]))
    assert subprocess.run(
        [sys.executable, "-c", "from gradlint.cli import main; main()", "check", "one.py"], capture_output=True
    ).stdout.decode() == answer(["check", "one.py"])


@pytest.mark.parametrize("name", OTHER)
def test_everything_else_is_left_to_a_full_run(folder: Path, name: str) -> None:
    assert answer(["check", name]) is None
    assert answer(["check", "one.py", name]) is None


@pytest.mark.parametrize(
    "arguments",
    [
        ["check"],
        ["check", "."],
        ["check", "none.py"],
        ["check", "-"],
        ["check", "--context", ".", "one.py"],
        ["check", "--select", "GL1", "one.py"],
        ["check", "--output-format=json", "one.py"],
        ["check", "-v", "one.py"],
        ["check", "--jobs", "0", "one.py"],
        ["check", "one.py", "--jobs"],
        ["check", "--jobs", "-q", "one.py"],
        ["check", "--fix", "one.py"],
        ["check", "--quite", "one.py"],
        ["rule", "one.py"],
    ],
)
def test_other_commands_are_left_to_a_full_run(folder: Path, arguments: list[str]) -> None:
    assert answer(arguments) is None


@pytest.mark.parametrize("text", SETTINGS)
@pytest.mark.parametrize("shared", [False, True])
def test_settings_are_understood_or_left_alone(folder: Path, text: str, shared: bool) -> None:
    if shared:
        (folder / "gradlint.toml").unlink()
        (folder / "pyproject.toml").write_text(f"[project]\nname = 'a'\n[tool.gradlint]\n{text}\n")
    else:
        (folder / "gradlint.toml").write_text(text)
    is_quick = is_the_same("check", "one.py")
    assert is_quick == (full(["check", "one.py"])[:2] == ("No findings in 1 file.\n", "") and is_understood(text))


def is_understood(text: str) -> bool:
    return not text.startswith(("baseline", "guards", "exclude = ['***']", "exclude = ['/']"))


def test_a_pyproject_without_our_table_is_passed_over_and_a_broken_one_is_not(folder: Path) -> None:
    (folder / "gradlint.toml").unlink()
    (folder / "pyproject.toml").write_text("[tool.black]\n")
    assert is_the_same("check", "one.py")
    (folder / "pyproject.toml").write_text("[tool.black\n")
    assert answer(["check", "one.py"]) is None
    assert is_the_same("check", "--isolated", "one.py")


def test_other_rule_packs_and_the_namesake_are_left_to_a_full_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = folder / "installed"
    monkeypatch.syspath_prepend(str(installed))
    info = installed / "other-1.0.dist-info"
    info.mkdir(parents=True)
    assert answer(["check", "one.py"]) is not None
    for points in ("[gradlint.rules]\nother = other_rules\n", "[a]\nb = c\n\n[gradlint.rules]\nx=gradlint_rules:y"):
        (info / "entry_points.txt").write_text(points)
        assert answer(["check", "one.py"]) is None
    (info / "entry_points.txt").write_text("[console_scripts]\nother = other:main\n")
    assert answer(["check", "one.py"]) is not None
    (installed / "gradlint-0.1.dist-info").mkdir()
    assert answer(["check", "one.py"]) is None


def test_the_codes_are_those_of_all_rules() -> None:
    assert packs.codes() == {rule.code for rule in registry.load((*suppress.RULES, *join.RULES))}


def test_nothing_heavy_is_imported(folder: Path) -> None:
    script = (
        "import sys; sys.argv[1:] = ['check', 'one.py']\nfrom gradlint.__main__ import main\n"
        "try: main()\nfinally: print(sorted({'click', 'libcst', 'gradlint.rule', 'ast', 'dataclasses', "
        "'pathlib', 'importlib.metadata'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=os.environ.copy())
    assert result.stdout == "No findings in 1 file.\n[]\n", result


LETTERS = str.maketrans("abcdef", "ghjkuv")


def neutral(found: re.Match[str]) -> str:
    """A word, or another one in its place if it is a trigger."""
    word = found.group()
    lower = word.lower()
    is_trigger = word in WORDS or word.startswith(BEGINNINGS) or any(stem in lower for stem in STEMS)
    return (
        "z" + "".join(f"{ord(c):x}".translate(str.maketrans("abcdef", "ghjkuv")) for c in word) if is_trigger else word
    )


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.code)
def test_no_rule_finds_anything_without_a_trigger(rule: Rule) -> None:
    """What is found in each example is found no more when its triggers are exchanged for other words."""
    for case in cases(rule):
        sources = [Source(file.path, re.sub(r"\w+", neutral, file.text)) for file in case.files]
        outcome = engine.run(sources, RULES, policy=Policy(advised=frozenset(rule.code for rule in RULES)))
        assert not outcome.diagnostics, (case, outcome.diagnostics)


def test_exchanging_triggers_leaves_code_that_is_found() -> None:
    """The test above is worth something only if the renamed code is still read."""
    found: list[Case] = [case for rule in RULES for case in cases(rule) if case.kind == "flagged"]
    sources = [Source(file.path, re.sub(r"\w+", neutral, file.text)) for case in found for file in case.files]
    assert not engine.run(sources, ()).failures
