"""Defaults, settings file and flags, brought together."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Protocol, cast

import click

from gradlint import registry, suppress
from gradlint.config import Config, find, read
from gradlint.engine import Policy
from gradlint.finding import Severity
from gradlint.project import Names
from gradlint.registry import NAMESAKE, Selectors
from gradlint.rule import Rule


class Flags(Protocol):
    """The flags that bear on settings."""

    @property
    def paths(self) -> tuple[str, ...]: ...
    @property
    def select(self) -> tuple[str, ...]: ...
    @property
    def ignore(self) -> tuple[str, ...]: ...
    @property
    def extend_select(self) -> tuple[str, ...]: ...
    @property
    def config(self) -> Path | None: ...
    @property
    def isolated(self) -> bool: ...
    @property
    def force_exclude(self) -> bool: ...
    @property
    def stdin_filename(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Settings:
    """All that decides a run."""

    config: Config
    rules: tuple[Rule, ...]
    names: Names
    policy: Policy


def settle(flags: Flags) -> Settings:
    """The settings in force.

    Raises:
        ConfigError: for settings or selectors that make no sense.
        RuleError: when the rules cannot be loaded.
    """
    config = _config(flags)
    known = registry.load(suppress.RULES)
    if registry.namesake_installed():
        click.echo(f"warning: {NAMESAKE}", err=True)
    levels = registry.by_exactness(known, config.severity)
    severities = {code: cast(Severity, level) for code, level in levels.items() if level != "off"}
    known = tuple(replace(rule, severity=severities.get(rule.code, rule.severity)) for rule in known)
    off = tuple(code for code, level in levels.items() if level == "off")
    rules = registry.choose(
        known,
        Selectors(config.select, config.extend_select, config.ignore),
        Selectors(ignore=off),
        Selectors(flags.select or None, flags.extend_select, flags.ignore),
    )
    names = Names(frozenset(config.guards), frozenset(config.models), frozenset(config.inference_functions))
    return Settings(config, rules, names, Policy(severities, _per_file(config, known), known))


def shown(settings: Settings) -> str:
    """The settings as text."""
    config = settings.config
    lines = [
        f"file = {config.file or 'none'}",
        f"rules = {', '.join(rule.code for rule in settings.rules)}",
        f"per-file-ignores = {dict(config.per_file_ignores)}",
        f"exclude = {[*config.exclude, *config.extend_exclude]}",
        f"force-exclude = {config.force_exclude}",
        f"respect-gitignore = {config.respect_gitignore}",
        f"severity = {dict(settings.policy.severities)}",
        f"guards = {list(config.guards)}",
        f"models = {list(config.models)}",
        f"inference-functions = {list(config.inference_functions)}",
        f"output-format = {config.output_format}",
    ]
    return "\n".join(lines) + "\n"


def _config(flags: Flags) -> Config:
    if flags.config is not None:
        config = read(flags.config)
    elif flags.isolated or (file := find(_start(flags))) is None:
        config = Config()
    else:
        config = read(file)
    return replace(config, force_exclude=True) if flags.force_exclude else config


def _start(flags: Flags) -> Path:
    first = flags.stdin_filename or "." if flags.paths[0] == "-" else flags.paths[0]
    path = Path(os.path.abspath(first))
    return path if path.is_dir() else path.parent


def _per_file(config: Config, known: tuple[Rule, ...]) -> Callable[[str], frozenset[str]]:
    if not config.per_file_ignores:
        return lambda path: frozenset()
    from pathspec import GitIgnoreSpec

    table = [
        (
            GitIgnoreSpec.from_lines([pattern]),
            frozenset(rule.code for selector in selectors for rule in registry.matching(selector, known)),
        )
        for pattern, selectors in config.per_file_ignores.items()
    ]

    @cache
    def ignored(path: str) -> frozenset[str]:
        below_root = os.path.relpath(path, config.root)
        return frozenset().union(*(codes for spec, codes in table if spec.match_file(below_root)))

    return ignored


__all__ = ["Mapping", "Settings", "settle", "shown"]
