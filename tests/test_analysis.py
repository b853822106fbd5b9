"""What is said after edits, with all that is known from before, is what is said by a run that knows nothing."""

import os
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from gradlint import engine, registry, suppress
from gradlint.cache import parts
from gradlint.cache.facts import Facts
from gradlint.diagnostic import Outcome
from gradlint.engine import analysis, asking
from gradlint.engine.asking import Known
from gradlint.finding import Finding
from gradlint.notebook import decode
from gradlint.project import Project
from gradlint.rule import Rule
from gradlint.source import Source
from gradlint.testing import cases

RULES = registry.load(suppress.RULES)
ROOT = Path(__file__).parent.parent
FIXTURES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "fixtures").rglob("*.py"))
}
EXAMPLES = [{f.path: f.text for f in case.files} for rule in RULES for case in cases(rule) if case.files[1:]]
Texts = dict[str, str]
_DEFINITION = re.compile(r"^( *)def (\w+)\(", re.M)


def swapped(pattern: str, new: str) -> Callable[[Texts, random.Random], None]:
    """An edit that changes one place that looks like this."""

    def edit(files: Texts, chance: random.Random) -> None:
        places = [(path, found) for path, text in files.items() for found in re.finditer(pattern, text, re.M)]
        if places:
            path, found = chance.choice(places)
            files[path] = files[path][: found.start()] + found.expand(new) + files[path][found.end() :]

    return edit


def rename(files: Texts, chance: random.Random) -> None:
    """Another name for a function, in its file or everywhere."""
    path = chance.choice(sorted(files))
    names = [name for _, name in _DEFINITION.findall(files[path]) if not name.startswith("__")]
    if names:
        name = chance.choice(names)
        for each in files if chance.random() < 0.5 else [path]:
            files[each] = re.sub(rf"\b{name}\b", f"{name}_too", files[each])


def add_caller(files: Texts, chance: random.Random) -> None:
    """A function of one file that calls one of another, perhaps under a guard."""
    home, path = chance.choice(sorted(files)), chance.choice(sorted(files))
    names = [name for indentation, name in _DEFINITION.findall(files[home]) if not indentation]
    if names and "/" not in home:
        name, module = chance.choice(names), home.removesuffix(".py")
        guard = chance.choice(["", "with torch.no_grad():\n        "])
        files[path] += (
            f"\n\ndef evaluate_{name}(model, data):\n    import torch\n    from {module} import {name}\n"
            f"    model.eval()\n    {guard}return {name}(model, data)\n"
        )


def drop_line(files: Texts, chance: random.Random) -> None:
    """One line less, whatever that leaves: perhaps a file that does not parse."""
    path = chance.choice(sorted(files))
    lines = files[path].split("\n")
    del lines[chance.randrange(len(lines))]
    files[path] = "\n".join(lines)


def drop_file(files: Texts, chance: random.Random) -> None:
    if files:
        del files[chance.choice(sorted(files))]


def copy_file(files: Texts, chance: random.Random) -> None:
    path = chance.choice(sorted(files))
    files[path.replace(".py", f"_{chance.randrange(3)}.py")] = files[path]


EDITS = [
    rename,
    add_caller,
    add_caller,
    drop_line,
    drop_file,
    copy_file,
    swapped(r"with torch\.(no_grad|inference_mode)\(\):", "if True:"),
    swapped(r"^ *@torch\.(no_grad|inference_mode)\(\)\n", ""),
    swapped(r"^( *)def (\w+)\(", r"\1@torch.no_grad()\n\1def \2("),
    swapped(r"\((torch\.)?nn\.Module\):", "(object):"),
    swapped(r"^class (\w+)\(\w+\):", r"class \1:"),
    swapped(r"^(from|import) [^\n(]*\n", ""),
    swapped(r"\.(eval|backward|detach)\(\)", ".cpu()"),
    swapped(r"^import torch$", "import torch\nfrom torch import no_grad as quiet"),
]


def edited(files: Texts, seed: int, times: int) -> Iterator[Texts]:
    """A project after some edits, and after some more, and as it was."""
    chance, now = random.Random(seed), dict(files)
    for _ in range(times):
        for _ in range(chance.choice([1, 1, 2, 3])):
            if now:
                chance.choice(EDITS)(now, chance)
        lost = sorted(files.keys() - now.keys())
        if lost and chance.random() < 0.5:
            now[lost[0]] = files[lost[0]]
        yield now
    yield files


def memories(kind: str, folder: Path) -> Iterator[engine.Memory]:
    """What one run after another goes on with: what this process holds, or a new one of what is on the disk."""
    held = Facts(None, hold=True)
    while True:
        yield held if kind == "held" else Facts(str(folder))


def outcome(files: Texts, memory: engine.Memory) -> Outcome:
    return engine.run([Source(path, files[path]) for path in sorted(files)], RULES, memory=memory)


@pytest.mark.parametrize("kind", ["held", "stored"])
@pytest.mark.parametrize("seed", range(4))
def test_after_any_edits_the_outcome_is_that_of_a_run_from_nothing(seed: int, kind: str, tmp_path: Path) -> None:
    for files, memory in zip(edited(FIXTURES, seed, 8), memories(kind, tmp_path), strict=False):
        assert outcome(files, memory) == outcome(files, engine.Forgetful())


@pytest.mark.parametrize("kind", ["held", "stored"])
@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_and_so_it_is_in_small_projects_of_several_files(number: int, kind: str, tmp_path: Path) -> None:
    for files, memory in zip(edited(EXAMPLES[number], number, 8), memories(kind, tmp_path), strict=False):
        assert outcome(files, memory) == outcome(files, engine.Forgetful())


@pytest.mark.parametrize("kind", ["held", "stored"])
def test_an_edit_that_concerns_nobody_is_asked_about_alone(kind: str, tmp_path: Path) -> None:
    asked: list[str] = []

    def listens(project: Project) -> Iterator[Finding]:
        asked.extend(module.path for module in project.modules)
        for function in project.functions():
            project.flow(function)
        yield from ()

    rule = Rule("XY101", "listens", "error", "0", "Page.", "gradlint_rules.none", listens)
    files = {"a.py": "def one(): return 1", "b.py": "import a\na.one()", "c.py": "x = 1", "d.py": "y = 1"}
    edits = ("c.py", "x = 1"), ("c.py", "x = 2"), ("a.py", "def one(): return 2"), ("d.py", "# no\ny = 1")
    told = []
    for (path, text), memory in zip(edits, memories(kind, tmp_path), strict=False):
        files[path] = text
        engine.run([Source(*file) for file in files.items()], [rule], memory=memory)
        told.append([*asked])
        asked.clear()
    assert told == [["a.py", "b.py", "c.py", "d.py"], ["c.py"], ["a.py", "b.py"], []]


def test_several_processes_know_as_much_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    known: list[Known] = []

    def kept() -> Known:
        known.append(Known())
        return known[-1]

    monkeypatch.setattr(analysis, "Known", kept)
    sources = [Source(path, text) for path, text in FIXTURES.items()]
    for jobs in (1, 2):
        engine.run(sources, RULES, jobs=jobs, memory=Facts(None, hold=True))
    one, two = (dict(each.of_modules) for each in known if each.of_modules)
    assert one == two


def test_what_several_processes_leave_is_gone_on_with(tmp_path: Path) -> None:
    sources = [Source(path, text) for path, text in sorted(FIXTURES.items())]
    engine.run(sources, RULES, jobs=2, memory=Facts(str(tmp_path)))
    for files in edited(FIXTURES, 5, 4):
        assert outcome(files, Facts(str(tmp_path))) == outcome(files, engine.Forgetful())


def test_of_several_processes_one_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put, writers = parts.put, tmp_path / "writers"

    def noted(*arguments: Any) -> None:
        with writers.open("a") as file:
            file.write(f"{os.getpid()} ")
        put(*arguments)

    monkeypatch.setattr(parts, "put", noted)
    sources = [
        *(Source(path, text) for path, text in FIXTURES.items()),
        decode(
            "broken.ipynb", nbformat.writes(new_notebook(cells=[new_code_cell("x = 1"), new_code_cell("x =")])).encode()
        ),
    ]
    engine.run(sources, RULES, jobs=3, memory=Facts(str(tmp_path / "cache")))
    assert set(writers.read_text().split()) == {str(os.getpid())}


def test_all_that_is_worked_out_can_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {**FIXTURES, **{f"{n}/{path}": text for n, case in enumerate(EXAMPLES) for path, text in case.items()}}
    said = outcome(files, Facts(str(tmp_path)))
    monkeypatch.setattr(asking, "_said", pytest.fail)  # asks again
    assert outcome(files, Facts(str(tmp_path))) == said


def test_a_finding_moves_with_lines_that_change_no_facts() -> None:
    memory = Facts(None, hold=True)
    texts = ["import torch\ntorch.no_grad()\n", "# a comment\nimport torch\ntorch.no_grad()\n", "import torch\n"]
    assert [[found.span.line for found in outcome({"a.py": text}, memory).diagnostics] for text in texts] == [
        [2],
        [3],
        [],
    ]
