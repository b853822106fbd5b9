"""Pages of rules, written for a terminal, as Markdown or as JSON."""

import json

import click

from gradlint import registry, suppress
from gradlint.diagnostic import ConfigError
from gradlint.rule import Rule, RuleError


def shown(code: str | None, output_format: str) -> None:
    """Print the page of one rule, or of all."""
    try:
        rules = registry.load(suppress.RULES)
        wanted = rules if code is None else (named(code, rules),)
    except (ConfigError, RuleError) as error:
        raise click.ClickException(str(error)) from error
    if output_format == "json":
        facts = [_facts(rule) for rule in wanted]
        click.echo(json.dumps(facts if code is None else facts[0], indent=2))
    elif output_format == "markdown":
        click.echo("\n\n".join(markdown(rule) for rule in wanted))
    else:
        click.echo("\n\n".join(markdown(rule) for rule in wanted))


def named(code: str, rules: tuple[Rule, ...]) -> Rule:
    """The rule of a code or name.

    Raises:
        ConfigError: when there is none.
    """
    for rule in rules:
        if rule.code == code.upper() or rule.name == code.lower():
            return rule
    found = registry.matching(code, rules)
    raise ConfigError(f"`{code}` names several rules: {', '.join(rule.code for rule in found)}")


def markdown(rule: Rule) -> str:
    """The page under a heading."""
    return f"# {rule.code} {rule.name}\n\n*{rule.severity}, since {rule.since}*\n\n{rule.page}"


def _facts(rule: Rule) -> dict[str, str]:
    return {
        "code": rule.code,
        "name": rule.name,
        "severity": rule.severity,
        "since": rule.since,
        "summary": rule.summary,
        "page": rule.page,
    }
