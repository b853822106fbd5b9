"""The rules there are: found in every installed package that offers some, the built-in pack included.

A pack is a package named by an entry point of the group ``gradlint.rules``; every module in it is imported
and every :class:`~gradlint.rule.Rule` found there is collected. A pack that cannot be loaded stops the run:
fewer rules than the user believes in would look like clean code.
"""

import importlib
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import TypeVar

from gradlint.diagnostic import ConfigError, did_you_mean
from gradlint.quick import packs
from gradlint.rule import Rule, RuleError

Value = TypeVar("Value")

GROUP = "gradlint.rules"
NAMESAKE = (
    "the project called `gradlint` on PyPI (diffusion MRI) is installed in this environment; its package and "
    "its command have the names of ours, and the two overwrite each other's files: uninstall both, then "
    "install torch-gradlint alone"
)


def load(builtin: Iterable[Rule] = ()) -> tuple[Rule, ...]:
    """All rules of all installed packs and the given ones, by code.

    Raises:
        RuleError: when a pack cannot be imported, two rules share a code, or there are no rules at all.
    """
    found = [rule for pack in offered() for rule in _pack(pack)]
    if not found:
        raise RuleError(f"no rules are installed (entry point group {GROUP}){_blame()}")
    return _by_code([*found, *builtin])


def offered() -> list[str]:
    """The names of all installed packs, each once."""
    if packs.only_builtin():
        return [packs.BUILTIN]
    from importlib.metadata import entry_points  # takes a fifth of the time in which a small file is checked

    return list(dict.fromkeys(point.value for point in entry_points(group=GROUP)))


def namesake_installed() -> bool:
    """Whether PyPI's other gradlint is installed beside us, which breaks either."""
    if packs.only_builtin():
        return False
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        distribution("gradlint")
    except PackageNotFoundError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Selectors:
    """One layer of choices: codes, prefixes of codes, or ``ALL``.

    ``select`` None leaves the layer below as it is. ``origin`` says where the choices were made.
    """

    select: tuple[str, ...] | None = None
    extend_select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    origin: str = ""


def choose(rules: Iterable[Rule], *layers: Selectors) -> tuple[Rule, ...]:
    """The rules that the layers choose, each over the one before; the lowest is all rules but advice.

    Within a layer what is more exactly named wins: ``--select GL1 --ignore GL101`` and ``--ignore GL1
    --extend-select GL101`` both do what they say. At equal length ``ignore`` wins.

    Raises:
        ConfigError: for a selector that fits no rule.
    """
    rules = tuple(rules)
    chosen = {rule.code for rule in rules if rule.severity != "advice"}
    for layer in layers:
        wanted = (*(layer.select or ()), *layer.extend_select)
        for selector in (*wanted, *layer.ignore):
            matching(selector, rules, layer.origin)
        if layer.select is not None:
            chosen = set()
        for rule in rules:
            plus, minus = _exactness(rule, wanted), _exactness(rule, layer.ignore)
            if plus > minus:
                chosen.add(rule.code)
            elif minus >= 0:
                chosen.discard(rule.code)
    return tuple(rule for rule in rules if rule.code in chosen)


def named(rules: Iterable[Rule], *layers: Selectors) -> frozenset[str]:
    """The codes of the rules that some layer selects, by their code, a prefix or ``ALL``."""
    wanted = [selector for layer in layers for selector in (*(layer.select or ()), *layer.extend_select)]
    return frozenset(rule.code for rule in rules if _exactness(rule, wanted) >= 0)


def by_exactness(rules: Iterable[Rule], table: Mapping[str, Value], origin: str = "") -> dict[str, Value]:
    """For each rule's code what a table of selectors says about it; the most exact selector wins.

    Raises:
        ConfigError: for a selector that fits no rule.
    """
    rules = tuple(rules)
    found: dict[str, Value] = {}
    for selector in sorted(table, key=lambda selector: 0 if selector == "ALL" else len(selector)):
        found.update((rule.code, table[selector]) for rule in matching(selector, rules, origin))
    return found


def codes(rules: Iterable[Rule], selectors: Iterable[str], origin: str = "") -> frozenset[str]:
    """The codes of all rules that any of the selectors fits.

    Raises:
        ConfigError: for a selector that fits no rule.
    """
    rules = tuple(rules)
    return frozenset(rule.code for selector in selectors for rule in matching(selector, rules, origin))


def matching(selector: str, rules: Iterable[Rule], origin: str = "") -> tuple[Rule, ...]:
    """The rules one selector names. ``origin`` begins the error message.

    Raises:
        ConfigError: when it fits none.
    """
    rules = tuple(rules)
    found = tuple(rule for rule in rules if _fits(selector, rule))
    if not found:
        where = f"{origin}: " if origin else ""
        raise ConfigError(f"{where}unknown rule or prefix `{selector}`{_hint(selector, rules)}")
    return found


def _hint(selector: str, rules: Iterable[Rule]) -> str:
    for rule in rules:
        if rule.name == selector.lower():
            return f"; {rule.name} is `{rule.code}`"
    return did_you_mean(selector.upper(), [rule.code for rule in rules])


def _fits(selector: str, rule: Rule) -> bool:
    return selector == "ALL" or (selector != "" and rule.code.startswith(selector.upper()))


def _exactness(rule: Rule, selectors: Iterable[str]) -> int:
    """Length of the longest selector that fits, -1 if none does; ``ALL`` is the loosest of all."""
    fitting = (selector for selector in selectors if _fits(selector, rule))
    return max((0 if selector == "ALL" else len(selector) for selector in fitting), default=-1)


def _pack(name: str) -> Iterator[Rule]:
    for module in _modules(name):
        yield from (value for value in vars(module).values() if isinstance(value, Rule))


def _modules(name: str) -> list[ModuleType]:
    try:
        package = importlib.import_module(name)
        inside = pkgutil.walk_packages(getattr(package, "__path__", ()), f"{name}.")
        return [package, *(importlib.import_module(found.name) for found in inside)]
    except Exception as error:
        cause = f"{type(error).__name__}: {error}"
        raise RuleError(f"the rule pack `{name}`{_owner(name)} cannot be imported: {cause}{_blame()}") from error


def _owner(name: str) -> str:
    from importlib.metadata import entry_points

    owners = {point.value: point.dist for point in entry_points(group=GROUP)}
    return f" of {owner.name}" if (owner := owners.get(name)) is not None else ""


def _by_code(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    first: dict[str, Rule] = {}
    for rule in rules:
        other = first.setdefault(rule.code, rule)
        if other.module != rule.module or other.name != rule.name:
            raise RuleError(f"two rules have the code {rule.code}: {other.module} and {rule.module}")
    return tuple(first[code] for code in sorted(first))


def _blame() -> str:
    return f". Note: {NAMESAKE}" if namesake_installed() else ""
