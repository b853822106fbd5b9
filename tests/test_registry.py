"""Rules are found where they are installed; a pack that is broken is never taken for no rules."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gradlint import registry, suppress
from gradlint.diagnostic import ConfigError
from gradlint.registry import Selectors, by_exactness, choose, codes, load, matching, namesake_installed
from gradlint.rule import Rule, RuleError

Flags = Callable[..., Rule]

RULE = '''"""A page."""
from gradlint.rule import rule

@rule("{code}", severity="warning", since="1")
def {name}(project):
    yield from ()
'''


class Installer:
    """Writes distributions into a folder that Python imports from."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def distribution(self, name: str, entry_points: str = "") -> None:
        info = self.folder / f"{name.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(entry_points)

    def pack(self, name: str, **modules: str) -> None:
        self.distribution(f"dist-of-{name}", f"[{registry.GROUP}]\nmine = {name}\n")
        package = self.folder / name
        package.mkdir()
        for module, text in {"__init__": "", **modules}.items():
            (package / f"{module}.py").write_text(text)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installer:
    monkeypatch.syspath_prepend(str(tmp_path))
    return Installer(tmp_path)


def test_the_built_in_pack_is_found() -> None:
    rules = load(suppress.RULES)
    assert {"GL101", "GL901", "GL902"} <= {rule.code for rule in rules}
    assert [rule.code for rule in rules] == sorted(rule.code for rule in rules)


def test_a_third_partys_pack_is_found(install: Installer) -> None:
    install.pack("pack_one", first=RULE.format(code="XY1", name="first"), second=RULE.format(code="XY2", name="b"))
    assert {("XY1", "first"), ("XY2", "b")} <= {(rule.code, rule.name) for rule in load()}


def test_rules_in_subpackages_are_found(install: Installer) -> None:
    install.pack("pack_two")
    inner = install.folder / "pack_two" / "inner"
    inner.mkdir()
    (inner / "__init__.py").write_text("")
    (inner / "deep.py").write_text(RULE.format(code="XY3", name="deep"))
    assert "XY3" in {rule.code for rule in load()}


def test_a_rule_that_another_module_imports_is_one_rule(install: Installer) -> None:
    install.pack("pack_three", a=RULE.format(code="XY4", name="a"), b="from pack_three.a import a\n__all__ = ['a']\n")
    assert [rule.code for rule in load()].count("XY4") == 1


def test_cases_may_stand_in_a_file_beside_their_rule(install: Installer) -> None:
    install.pack("pack_cases", a=RULE.format(code="XY7", name="a"), b=RULE.format(code="XY8", name="b"))
    (install.folder / "pack_cases" / "a.cases.md").write_text("## Silent\n", encoding="utf-8")
    cases = {rule.code: rule.cases for rule in load()}
    assert (cases["XY7"], cases["XY8"]) == ("## Silent\n", "")


def test_cases_in_both_places_are_refused(install: Installer) -> None:
    install.pack("pack_both", a=RULE.format(code="XY9", name="a") + "CASES = '## Silent'\n")
    (install.folder / "pack_both" / "a.cases.md").write_text("## Silent\n", encoding="utf-8")
    (rule,) = (rule for rule in load() if rule.code == "XY9")
    with pytest.raises(RuleError, match=r"pack_both.a: has CASES and a\.cases\.md, too"):
        rule.cases  # noqa: B018 asking is what is refused


def test_two_rules_with_one_code_are_refused(install: Installer) -> None:
    install.pack("pack_four", a=RULE.format(code="XY5", name="a"), b=RULE.format(code="XY5", name="b"))
    with pytest.raises(RuleError, match=r"two rules have the code XY5: pack_four\.a and pack_four\.b"):
        load()


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("import not_there_at_all\n", "ModuleNotFoundError: No module named 'not_there_at_all'"),
        ("1 / 0\n", "ZeroDivisionError: division by zero"),
        ("x = (\n", r"SyntaxError: '\(' was never closed"),
        (RULE.format(code="XY6", name="a").split("\n", 1)[1], "RuleError: .* has no page"),
    ],
)
def test_a_pack_that_cannot_be_imported_is_named_with_the_cause(install: Installer, text: str, cause: str) -> None:
    name = install.folder.name  # a new one for each case: modules stay imported
    install.pack(name, bad=text)
    with pytest.raises(RuleError, match=f"the rule pack `{name}` of dist-of-{name} cannot be imported: {cause}"):
        load()


def test_a_pack_that_is_missing_is_named(install: Installer) -> None:
    install.distribution("ghost", f"[{registry.GROUP}]\nmine = ghost_pack\n")
    with pytest.raises(RuleError, match="the rule pack `ghost_pack` of ghost cannot be imported"):
        load()


def test_what_is_offered_is_what_is_installed(install: Installer) -> None:
    assert registry.offered() == ["gradlint_rules"]
    install.distribution("ghost", f"[{registry.GROUP}]\nmine = ghost_pack\nyours=gradlint_rules\n")
    assert sorted(registry.offered()) == ["ghost_pack", "gradlint_rules"]


def test_no_rules_at_all_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "offered", list)
    with pytest.raises(RuleError, match="no rules are installed"):
        load(suppress.RULES)


def test_the_other_gradlint_is_blamed_where_it_is_installed(
    install: Installer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not namesake_installed()
    install.distribution("gradlint")
    assert namesake_installed()
    monkeypatch.setattr(registry, "offered", list)
    with pytest.raises(RuleError, match=r"diffusion MRI.*uninstall both"):
        load()


@pytest.fixture
def rules(flags: Flags) -> tuple[Rule, ...]:
    return tuple(
        flags(f"rule_{code}".lower(), code, "advice" if code == "XY103" else "warning")
        for code in ("XY101", "XY102", "XY103", "XY201", "ZZ101")
    )


@pytest.mark.parametrize(
    ("layers", "chosen"),
    [
        ([], "XY101 XY102 XY201 ZZ101"),
        ([Selectors(("ALL",))], "XY101 XY102 XY103 XY201 ZZ101"),
        ([Selectors(("XY1",))], "XY101 XY102 XY103"),
        ([Selectors(("xy101", "Z"))], "XY101 ZZ101"),
        ([Selectors(())], ""),
        ([Selectors(ignore=("XY1",))], "XY201 ZZ101"),
        ([Selectors(extend_select=("XY103",))], "XY101 XY102 XY103 XY201 ZZ101"),
        ([Selectors(("XY1",), ignore=("XY101",))], "XY102 XY103"),
        ([Selectors(("XY1", "XY201"), ignore=("XY",))], "XY101 XY102 XY103 XY201"),
        ([Selectors(("ALL",), ignore=("XY1",), extend_select=("XY103",))], "XY103 XY201 ZZ101"),
        ([Selectors(("XY101",), ignore=("XY101",))], ""),
        ([Selectors(("XY1",), ignore=("ALL",))], "XY101 XY102 XY103"),
        ([Selectors(ignore=("ALL",))], ""),
        ([Selectors(ignore=("XY101",)), Selectors(("XY101",))], "XY101"),
        ([Selectors(("XY1",)), Selectors(ignore=("XY101",))], "XY102 XY103"),
        ([Selectors(("XY1",)), Selectors(extend_select=("ZZ",))], "XY101 XY102 XY103 ZZ101"),
        ([Selectors(ignore=("XY101",)), Selectors(extend_select=("XY1",))], "XY101 XY102 XY103 XY201 ZZ101"),
    ],
)
def test_selectors_choose(rules: tuple[Rule, ...], layers: list[Selectors], chosen: str) -> None:
    assert " ".join(rule.code for rule in choose(rules, *layers)) == chosen


@pytest.mark.parametrize("layer", [Selectors(("XY9",)), Selectors(ignore=("XY9",)), Selectors(extend_select=("XY9",))])
def test_a_selector_that_fits_nothing_is_refused(rules: tuple[Rule, ...], layer: Selectors) -> None:
    with pytest.raises(ConfigError, match=r"^here: unknown rule or prefix `XY9`"):
        choose(rules, replace(layer, origin="here"))


@pytest.mark.parametrize(
    ("selector", "hint"),
    [("XY1O1", "did you mean `XY101`?"), ("rule-xy101", "rule-xy101 is `XY101`"), ("", "")],
)
def test_a_wrong_selector_gets_a_hint(rules: tuple[Rule, ...], selector: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        matching(selector, rules)
    assert str(caught.value).endswith(hint)


def test_the_most_exact_selector_wins(rules: tuple[Rule, ...]) -> None:
    table = {"XY101": "a", "ALL": "b", "XY": "c"}
    assert by_exactness(rules, table) == {
        "XY101": "a",
        "XY102": "c",
        "XY103": "c",
        "XY201": "c",
        "ZZ101": "b",
    }


def test_codes_of_selectors(rules: tuple[Rule, ...]) -> None:
    assert codes(rules, ["XY2", "ZZ101"]) == {"XY201", "ZZ101"}


def test_loading_rules_imports_nothing_heavy() -> None:
    import subprocess

    script = (
        "import sys; from gradlint import registry, suppress; registry.load(suppress.RULES);"
        "print(sorted({'libcst', 'rich', 'torch', 'click'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "[]\n"
