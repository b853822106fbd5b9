"""Pages of rules: in the terminal, as Markdown, or as JSON."""

import json
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO

from gradlint import join, registry, suppress
from gradlint.cli.output import Failed, write
from gradlint.diagnostic import ConfigError
from gradlint.quick.terminal import wants_color
from gradlint.rule import Rule, RuleError

WIDEST = 100


def shown(code: str | None, *, every: bool, output_format: str) -> None:
    """Print one rule's page, all pages, or (with neither) a line for each rule.

    Raises:
        Failed: when there is no such rule, or the rules cannot be loaded.
    """
    try:
        rules = registry.load((*suppress.RULES, *join.RULES))
        wanted = rules if code is None else (_named(code, rules),)
    except (ConfigError, RuleError) as error:
        raise Failed(str(error)) from error
    if output_format == "json":
        facts = [_facts(rule) for rule in wanted]
        write([json.dumps(facts if code is None else facts[0], indent=2) + "\n"])
    elif code is None and not every:
        write(_list(wanted))
    elif output_format == "text" and wants_color(sys.stdout):
        write(_rendered(wanted))
    else:
        write(_separated(wanted))


def _named(code: str, rules: Sequence[Rule]) -> Rule:
    """The rule of this code or name; a prefix of several codes is not enough."""
    for rule in rules:
        if rule.code == code.upper() or rule.name == code.lower():
            return rule
    found = registry.matching(code, rules)
    raise ConfigError(f"`{code}` stands for several rules: {', '.join(rule.code for rule in found)}")


def _list(rules: Iterable[Rule]) -> Iterator[str]:
    for rule in rules:
        yield f"{rule.code}  {rule.severity:<7}  {rule.name}: {rule.summary}\n"


def _markdown(rule: Rule) -> str:
    return f"# {rule.code} {rule.name}\n\n*{rule.severity}, since {rule.since}*\n\n{rule.page}\n"


def _separated(rules: Iterable[Rule]) -> Iterator[str]:
    for number, rule in enumerate(rules):
        yield ("\n" if number else "") + _markdown(rule)


def _rendered(rules: Iterable[Rule]) -> Iterator[str]:
    from rich.console import Console
    from rich.markdown import Markdown

    width = min(shutil.get_terminal_size().columns, WIDEST)
    for rule in rules:
        text = StringIO()
        Console(file=text, force_terminal=True, width=width).print(Markdown(_markdown(rule)))
        yield text.getvalue()


def _facts(rule: Rule) -> dict[str, str]:
    return {
        "code": rule.code,
        "name": rule.name,
        "severity": rule.severity,
        "since": rule.since,
        "summary": rule.summary,
        "page": rule.page,
    }
