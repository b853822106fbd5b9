"""The examples' own machinery: what it must refuse is shown to be refused."""

import dataclasses
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from gradlint.project import Project
from gradlint.rule import Finding, Place, Rule
from gradlint.testing import Case, CaseFailure, File, PageError, Stage, cases, check_case, proofs, prove
from gradlint.testing.claims import ClaimError, Event, Raises, claims, statements

CODE = "XY101"


def fence(code: str, info: str = "python") -> str:
    return f"```{info}\n{code}\n```\n"


def rule(page: str, more: str = "", check: Callable[[Project], Iterator[Finding]] = lambda project: iter(())) -> Rule:
    sys.modules["a_rule_under_test"] = sys.modules[__name__]
    globals()["CASES"] = more
    return Rule(CODE, "under-test", "warning", "0.1.0", page, "a_rule_under_test", check)


def one(code: str, kind: str = "Flagged", setup: str = "", accused: str = "") -> Case:
    """A single example, by way of a page."""
    flagged = f"## Flagged\n{fence(accused)}" if accused else ""
    more = fence(setup, "python setup") if setup else ""
    return cases(rule(f"A summary.\n\n{flagged}\n## {kind}\n{fence(code)}", more))[-1]


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with Stage() as stage:
        yield stage


class TestParsing:
    def test_sections_decide_what_a_block_is(self) -> None:
        blocks = {"Flagged": "x  # XY101", "Instead": "y", "Fixed": "z"}
        page = "S.\n" + "\n".join(f"## {name}\n{fence(code)}" for name, code in blocks.items())
        more = f"## Flagged\n### first\n{fence('a  # XY101')}\n## Silent\n### second\n{fence('b')}"
        found = cases(rule(page, more))
        assert [case.kind for case in found] == ["flagged", "instead", "fixed", "flagged", "silent"]
        assert [str(case) for case in found] == [
            "XY101-flagged-page",
            "XY101-instead-page",
            "XY101-fixed-page",
            "XY101-flagged-first",
            "XY101-silent-second",
        ]

    def test_second_block_of_a_title_is_numbered(self) -> None:
        page = f"S.\n## Flagged\n{fence('x  # XY101')}\n{fence('y  # XY101')}"
        assert [str(case) for case in cases(rule(page))] == ["XY101-flagged-page", "XY101-flagged-page-2"]

    def test_marks_name_each_code_as_often_as_it_stands_there(self) -> None:
        case = one("x = 1\ny = 2  # XY101 XY101, GL202\n# XY101 in words\nz  # noqa: XY101")
        assert case.marks == {("example.py", 2, "XY101"): 2, ("example.py", 2, "GL202"): 1}

    def test_file_lines_split_an_example(self) -> None:
        case = one("# file: pkg/__init__.py\n# file: pkg/a.py\nx  # XY101\n# file: main.py\ny")
        assert [(file.path, file.text) for file in case.files] == [
            ("pkg/__init__.py", "# file: pkg/__init__.py\n"),
            ("pkg/a.py", "# file: pkg/a.py\nx  # XY101\n"),
            ("main.py", "# file: main.py\ny\n"),
        ]
        assert case.marks == {("pkg/a.py", 2, "XY101"): 1}

    def test_setup_is_shared_or_belongs_to_its_title(self) -> None:
        more = (
            fence("shared", "python setup")
            + f"## Silent\n### one\n{fence('own', 'python setup')}{fence('a')}\n### two\n{fence('b')}"
        )
        page, first, second = cases(rule(f"S.\n## Instead\n{fence('x')}", more))
        assert [file.text for file in page.setup] == ["shared\n"]
        assert [file.text for file in first.setup] == ["shared\n", "own\n"]
        assert [file.text for file in second.setup] == ["shared\n"]
        assert [file.text for file in first.files] == ["a\n"]

    def test_other_languages_are_text(self) -> None:
        assert cases(rule(f"S.\n## Why\n{fence('x', 'text')}\n{fence('x', 'pycon')}")) == ()

    def test_a_fix_is_compared_without_marks_and_claims(self) -> None:
        (file,) = one("x = 1  # XY101\n# run: x\n# shows: x\ny = 2  # why").code_only
        assert file.text == "x = 1\ny = 2  # why\n"

    @pytest.mark.parametrize(
        ("page", "complaint"),
        [
            (f"S.\n## Flagged\n{fence('x')}", "a flagged example without `# XY101`"),
            (f"S.\n## Instead\n{fence('x  # XY101')}", "in an example that is to be silent"),
            (f"S.\n## Why\n{fence('x')}", "a Python block stands under 'why'"),
            (fence("x"), "a Python block stands under ''"),
            (f"S.\n## Flagged\n{fence('x  # XY101' + chr(10) + '# keeps: much')}", "cannot read `much`"),
        ],
    )
    def test_what_is_not_well_formed_is_refused(self, page: str, complaint: str) -> None:
        with pytest.raises(PageError, match=complaint):
            cases(rule(page))

    def test_a_flagged_example_must_claim_something(self) -> None:
        with pytest.raises(PageError, match="must claim what happens"):
            proofs(rule(f"S.\n## Flagged\n{fence('x  # XY101')}"))

    def test_silent_examples_are_run_if_they_claim_something(self) -> None:
        more = f"## Silent\n### a\n{fence('x')}\n### b\n{fence('# run: x')}\n### c\n{fence('# shows: x')}"
        assert [case.title for case in proofs(rule("S.", more))] == ["b", "c"]

    def test_alternatives_of_an_exception(self) -> None:
        (claim,) = claims("# raises: TypeError: it's a, b: c, or AttributeError")
        assert claim == Raises((Event("TypeError", "it's a, b: c"), Event("AttributeError", "")))

    def test_claims_are_lines_of_their_own(self) -> None:
        assert list(claims("x = 1  # shows: x\n'# shows: y'\n#shows: z")) == []
        assert list(statements("# run: a = 1\n  # run: b = 2")) == ["a = 1", "b = 2"]

    @pytest.mark.parametrize("text", ["# keeps: some bytes", "# leaves: > -1 bytes", "# raises: a message"])
    def test_unreadable_claims_are_refused(self, text: str) -> None:
        with pytest.raises(ClaimError, match="cannot read"):
            list(claims(text))


def reporting(*nodes: int) -> Rule:
    """A rule that finds a fault at the given nodes of every file."""

    def check(project: Project) -> Iterator[Finding]:
        for module in project.modules:
            yield from (Finding(Place(module.path, node), "<module>", f"node {node}") for node in nodes)

    return rule("S.", check=check)


def first_name(code: str) -> int:
    """The number of the first function's name, a node that is easily placed."""
    from gradlint.model.extract import extract
    from gradlint.source import Source

    return extract(Source("example.py", code)).functions[1].at


class TestChecking:
    CODE = "import torch\ndef f():{mark}\n    return torch.no_grad()\n"

    def example(self, mark: str = "") -> Case:
        return Case(CODE, "a title", "flagged", (File("example.py", self.CODE.format(mark=mark)),))

    def test_a_marked_finding_passes(self) -> None:
        case = self.example("  # XY101")
        check_case(case, [reporting(first_name(case.files[0].text))])

    def test_a_finding_that_is_not_marked_fails(self) -> None:
        case = self.example()
        with pytest.raises(CaseFailure, match=r"example\.py:2: XY101 is found but not marked: node"):
            check_case(case, [reporting(first_name(case.files[0].text))])

    @pytest.mark.parametrize("mark", ["  # XY101", "  # GL999"])
    def test_a_marked_finding_that_is_not_found_fails(self, mark: str) -> None:
        with pytest.raises(CaseFailure, match="is marked but not found"):
            check_case(self.example(mark), [reporting()])

    def test_a_file_that_does_not_parse_fails(self) -> None:
        broken = dataclasses.replace(self.example(), files=(File("example.py", "import torch\ndef f(:\n"),))
        with pytest.raises(CaseFailure, match=r"example\.py:2: could not be checked"):
            check_case(broken, [reporting()])

    def test_a_rule_that_raises_fails(self) -> None:
        def check(project: Project) -> Iterator[Finding]:
            raise RuntimeError("broken")

        with pytest.raises(CaseFailure, match="broken"):
            check_case(self.example(), [rule("S.", check=check)])


MODEL = "import torch\nmodel = torch.nn.Linear(8, 2)\nx = torch.ones(4, 8)"


class TestProof:
    @pytest.mark.parametrize(
        "code",
        [
            "y = model(x)  # XY101\n# keeps: > 0 bytes",
            "model(x)  # XY101\n# keeps: == 128 bytes\n# leaves: 0 bytes",
            "y = model(x)  # XY101\n# leaves: == 128 bytes",
            "y = model(x) + model(x)  # XY101\n# keeps: 128 bytes",  # one storage, saved twice
            "y = model(x).argmax(1)  # XY101\n# shows: not y.requires_grad\n# shows: y.shape == (4,)",
            "1 / 0  # XY101\n# raises: ZeroDivisionError: division",
            "def f(): 1 / 0  # XY101\n# run: f()\n# run: f()\n# raises: ValueError, or ZeroDivisionError",
            "model(x).grad  # XY101\n# warns: UserWarning: The .grad attribute",
            "torch.set_grad_enabled(False)  # XY101\n# shows: not torch.is_grad_enabled()",
            "z = 1  # XY101\n# run: z += 1\n# run: z += 1\n# shows: z == 3",
            "print('not part of the protocol')  # XY101\n# shows: __name__ == '__main__'",
        ],
    )
    def test_true_claims_pass(self, code: str, stage: Stage) -> None:
        prove(one(code, setup=MODEL), stage)

    @pytest.mark.parametrize(
        ("code", "complaint"),
        [
            ("y = x * 2  # XY101\n# keeps: > 0 bytes", "should keep > 0 bytes, but there were 0"),
            ("with torch.no_grad(): model(x)  # XY101\n# keeps: > 0 bytes", "there were 0"),
            ("model(x)  # XY101\n# leaves: > 0 bytes", "should leave > 0 bytes, but there were 0"),
            ("model.weight * 2  # XY101\n# keeps: > 0 bytes", "there were 0"),  # a parameter is there anyway
            ("y = 1  # XY101\n# shows: y == 2", "`y == 2` should be true, but: it is False"),
            ("y = 1  # XY101\n# shows: z", "it raised NameError: name 'z' is not defined"),
            ("y = 1  # XY101\n# raises: TypeError", "should raise `TypeError`, but did not"),
            ("1 / 0  # XY101\n# raises: TypeError", "but raised `ZeroDivisionError: division by zero`"),
            ("1 / 0  # XY101\n# raises: ZeroDivisionError: no", "but raised `ZeroDivisionError"),
            ("1 / 0  # XY101\n# shows: True", "raised `ZeroDivisionError: division by zero`"),
            ("1 / 0  # XY101\n# run: 1 / 0\n# raises: ZeroDivisionError", "before any `# run:` line"),
            ("y = 1  # XY101\n# run: 1 / 0\n# run: y\n# raises: ZeroDivisionError", "run 2 should raise"),
            ("y = 1  # XY101\n# warns: UserWarning: x", "should warn `UserWarning: x`, but warned nothing"),
            ("import os; os._exit(3)  # XY101\n# shows: True", "the process died"),
            ("def f(:  # XY101\n# shows: True", "raised `SyntaxError"),
            ("import sys; sys.exit('no')  # XY101\n# shows: True", "raised `SystemExit: no`"),
        ],
    )
    def test_false_claims_fail(self, code: str, complaint: str, stage: Stage) -> None:
        with pytest.raises(CaseFailure) as failure:
            prove(one(code, setup=MODEL), stage)
        assert complaint in str(failure.value)

    @pytest.mark.parametrize(
        ("accused", "clean", "complaint"),
        [
            (
                "# keeps: > 0 bytes",
                "y = model(x)",
                "kept 128 bytes for backward, as the flagged example does",
            ),
            ("# warns: UserWarning: The .grad", "model(x).grad", "warned `UserWarning: The .grad`, as the"),
            ("# raises: TypeError", "1 / 0", "raised `ZeroDivisionError"),
        ],
    )
    def test_a_clean_example_must_not_do_it(self, accused: str, clean: str, complaint: str, stage: Stage) -> None:
        case = one(clean, "Instead", setup=MODEL, accused=f"x  # XY101\n{accused}")
        with pytest.raises(CaseFailure) as failure:
            prove(case, stage)
        assert complaint in str(failure.value)

    def test_a_clean_example_may_do_other_things(self, stage: Stage) -> None:
        prove(one("y = model(x)\n# shows: y.requires_grad", "Instead", setup=MODEL), stage)

    def test_each_example_starts_afresh(self, stage: Stage) -> None:
        """Grad mode, warnings given once, the working folder, imports, the random state."""
        code = """
import os, random_part
first = not os.path.exists("left")
open("left", "w").close()
torch.set_grad_enabled(False)  # XY101
torch.backends.left = True
# shows: first
"""
        setup = MODEL + "\nfresh = not hasattr(torch.backends, 'left') and torch.is_grad_enabled()"
        case = one(code + "# shows: fresh", setup=f"{setup}\nr = torch.rand(1).item()\n# file: random_part.py\n")
        assert stage.run(case).shown == stage.run(case).shown == {"first": "true", "fresh": "true"}

    def test_a_setup_that_raises_is_told_apart_from_the_example(self, stage: Stage) -> None:
        with pytest.raises(CaseFailure, match="the setup raised ZeroDivisionError: division by zero"):
            prove(one("y = 1  # XY101\n# shows: y", setup="1 / 0"), stage)

    def test_several_files_are_importable_and_the_last_is_the_program(self, stage: Stage) -> None:
        modules = "# file: pkg/__init__.py\n# file: pkg/a.py\nONE = 1\n"
        program = "# file: run.py\nfrom pkg.a import ONE  # XY101\n"
        prove(
            one(modules + program + "# shows: ONE == 1 and __name__ == '__main__' and __file__ == 'run.py'"),
            stage,
        )

    def test_an_endless_example_is_ended(self, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("gradlint.testing.proof.TIMEOUT", 0.5)
        with pytest.raises(CaseFailure, match="did not end"):
            prove(one("while True: pass  # XY101\n# shows: True"), stage)
        prove(one("y = 1  # XY101\n# shows: y"), stage)

    def test_without_forking_each_example_has_a_process(self) -> None:
        with Stage(forking=False) as stage:
            prove(
                one(
                    "torch.set_grad_enabled(False)  # XY101\n# shows: not torch.is_grad_enabled()",
                    setup=MODEL,
                ),
                stage,
            )
            prove(one("y = 1  # XY101\n# shows: torch.is_grad_enabled()", setup=MODEL), stage)

    def test_a_stage_that_was_never_used_closes(self) -> None:
        with Stage() as unused:
            pass
        unused.close()

    def test_the_package_itself_does_not_import_torch(self) -> None:
        code = "import gradlint.testing, gradlint.docs, sys; sys.exit('torch' in sys.modules)"
        assert subprocess.run([sys.executable, "-c", code]).returncode == 0
