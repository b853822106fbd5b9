"""Defaults, settings file and flags, brought together."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from gradlint import join, registry, suppress
from gradlint.cli.patterns import patterns
from gradlint.cli.request import STDIN, Request
from gradlint.config import Config, find, read
from gradlint.engine import Policy
from gradlint.finding import Severity
from gradlint.project import Names
from gradlint.registry import Selectors
from gradlint.rule import Rule

_SEVERITIES: Mapping[str, Severity] = {"error": "error", "warning": "warning", "advice": "advice"}


@dataclass(frozen=True, slots=True)
class Settings:
    """All that decides a run. ``policy`` knows all rules; ``rules`` are those that run."""

    config: Config
    rules: tuple[Rule, ...]
    names: Names
    policy: Policy
    baseline: Path | None = None


def settle(request: Request) -> Settings:
    """The settings in force.

    Raises:
        ConfigError: for settings or selectors that make no sense.
        RuleError: when the rules cannot be loaded.
    """
    config = _config(request)
    file = str(config.file)
    levels = registry.by_exactness(
        known := registry.load((*suppress.RULES, *join.RULES)), config.severity, f"{file}: severity"
    )
    severities: dict[str, Severity] = {
        code: _SEVERITIES[level] for code, level in levels.items() if level in _SEVERITIES
    }
    off = tuple(code for code, level in levels.items() if level not in _SEVERITIES)
    known = tuple(replace(rule, severity=severities.get(rule.code, rule.severity)) for rule in known)
    by_file = Selectors(config.select, config.extend_select, config.ignore, file)
    by_flags = Selectors(request.select or None, request.extend_select, request.ignore, "command line")
    rules = registry.choose(known, by_file, Selectors(ignore=off), by_flags)
    advised = registry.named(known, by_file, by_flags)
    names = Names(frozenset(config.guards), frozenset(config.models), frozenset(config.inference_functions))
    policy = Policy(severities, _ignored(config, known), known, advised)
    return Settings(config, rules, names, policy, _baseline(request, config))


def shown(settings: Settings) -> Iterator[str]:
    """The settings as text, one per line, in the order of the documentation."""
    config = settings.config
    yield f"settings file = {config.file or 'none'}\n"
    yield f"rules = {_listed([rule.code for rule in settings.rules])}\n"
    for pattern, selectors in config.per_file_ignores.items():
        yield f"per-file-ignores.{pattern} = {_listed(selectors)}\n"
    yield f"exclude = {_listed([*config.exclude, *config.extend_exclude])}\n"
    yield f"force-exclude = {str(config.force_exclude).lower()}\n"
    yield f"respect-gitignore = {str(config.respect_gitignore).lower()}\n"
    for selector, level in config.severity.items():
        yield f"severity.{selector} = {level}\n"
    yield f"guards = {_listed(config.guards)}\n"
    yield f"models = {_listed(config.models)}\n"
    yield f"inference-functions = {_listed(config.inference_functions)}\n"
    yield f"output-format = {config.output_format}\n"
    yield f"baseline = {settings.baseline or 'none'}\n"


def _listed(items: Sequence[str]) -> str:
    return "[" + ", ".join(items) + "]"


def _baseline(request: Request, config: Config) -> Path | None:
    """The file with accepted findings: as the flag says, or the settings, whose paths are relative to their file."""
    if request.baseline is not None:
        return request.baseline
    return config.root / config.baseline if config.baseline else None


def _config(request: Request) -> Config:
    if request.config is not None:
        config = read(request.config)
    elif request.isolated or (file := find(start(request))) is None:
        config = Config()
    else:
        config = read(file)
    config = replace(config, root=Path(os.path.abspath(config.root)))
    if request.output_format is not None:
        config = replace(config, output_format=request.output_format)
    return replace(config, force_exclude=True) if request.force_exclude else config


def start(request: Request) -> Path:
    """Where the search for a settings file begins: the folder of the first path."""
    first = request.paths[0]
    path = Path(os.path.abspath((request.stdin_filename or "stdin") if first == STDIN else first))
    return path if path.is_dir() else path.parent


def _ignored(config: Config, known: Sequence[Rule]) -> Callable[[str], frozenset[str]]:
    """The codes that ``per-file-ignores`` takes away, by path."""
    table = [
        (
            patterns([pattern], str(config.root)),
            registry.codes(known, selectors, f"{config.file}: per-file-ignores.{pattern}"),
        )
        for pattern, selectors in config.per_file_ignores.items()
    ]

    @cache
    def ignored(path: str) -> frozenset[str]:
        absolute = os.path.abspath(path)
        return frozenset().union(*(codes for spec, codes in table if spec.verdict(absolute)))

    return ignored
