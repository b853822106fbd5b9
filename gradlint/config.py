"""Settings from ``[tool.gradlint]`` in ``pyproject.toml``, or from ``gradlint.toml``.

The nearest such file above the checked code is read, and only that one. Whatever is not understood is
refused: a setting that is silently ignored is worse than none.
"""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gradlint.diagnostic import ConfigError, did_you_mean

CANDIDATES = ("gradlint.toml", "pyproject.toml")  # in a folder the first that has settings counts
LEVELS = ("error", "warning", "advice", "off")
FORMATS = ("full", "concise", "json", "json-lines", "github", "gitlab", "junit", "sarif")
DEFAULT_EXCLUDE = (
    ".bzr", ".cache", ".direnv", ".eggs", ".git", ".hg", ".ipynb_checkpoints", ".mypy_cache", ".nox", ".pants.d",
    ".pyenv", ".pytest_cache", ".ruff_cache", ".svn", ".tox", ".venv", ".vscode", "__pycache__",
    "__pypackages__", "_build", "build", "dist", "node_modules", "site-packages", "venv",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Config:
    """The settings of one project. Patterns are as in a ``.gitignore`` in the folder ``root``.

    ``select`` None means the default set. ``exclude`` replaces the built-in list, ``extend_exclude`` adds to
    it. ``guards``, ``models`` and ``inference_functions`` name what the analysis cannot know by itself.
    """

    file: Path | None = None
    root: Path = field(default_factory=Path.cwd)
    select: tuple[str, ...] | None = None
    extend_select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    per_file_ignores: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    exclude: tuple[str, ...] = DEFAULT_EXCLUDE
    extend_exclude: tuple[str, ...] = ()
    force_exclude: bool = False
    respect_gitignore: bool = True
    severity: Mapping[str, str] = field(default_factory=dict)
    guards: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    inference_functions: tuple[str, ...] = ()
    output_format: str = "full"
    baseline: str = ""


KEYS = (
    "select", "extend-select", "ignore", "per-file-ignores", "exclude", "extend-exclude", "force-exclude",
    "respect-gitignore", "severity", "guards", "models", "inference-functions", "output-format", "baseline",
)  # fmt: skip


def find(start: Path) -> Path | None:
    """The nearest configuration file in this folder or above it.

    In each folder ``gradlint.toml`` is looked for first, then a ``pyproject.toml`` with our table.

    Raises:
        ConfigError: when a file on the way cannot be read.
    """
    return next((file for folder in (start, *start.parents) for file in _candidates(folder)), None)


def read(file: Path) -> Config:
    """The settings in a file.

    Raises:
        ConfigError: when the file cannot be read, is not TOML, or holds something unknown.
    """
    table = _section(file)
    if table is None:
        raise ConfigError(f"{file}: no [tool.gradlint] table in it")
    settings = _Settings(file, table)
    settings.refuse_unknown(KEYS)
    return Config(
        file=file,
        root=file.parent,
        select=settings.strings("select") if "select" in table else None,
        extend_select=settings.strings("extend-select"),
        ignore=settings.strings("ignore"),
        per_file_ignores=settings.lists("per-file-ignores"),
        exclude=settings.strings("exclude", DEFAULT_EXCLUDE),
        extend_exclude=settings.strings("extend-exclude"),
        force_exclude=settings.flag("force-exclude", default=False),
        respect_gitignore=settings.flag("respect-gitignore", default=True),
        severity=settings.levels("severity"),
        guards=settings.strings("guards"),
        models=settings.strings("models"),
        inference_functions=settings.strings("inference-functions"),
        output_format=settings.choice("output-format", FORMATS, default="full"),
        baseline=settings.string("baseline"),
    )


def _candidates(folder: Path) -> Iterator[Path]:
    if (own := folder / "gradlint.toml").is_file():
        yield own
    if (shared := folder / "pyproject.toml").is_file() and _section(shared) is not None:
        yield shared


def _section(file: Path) -> Mapping[str, object] | None:
    """The file's own table; in a ``pyproject.toml`` the one under ``tool``, None if it has none."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        document: Mapping[str, object] = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{file}: cannot read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: not valid TOML: {error}") from error
    if file.name != "pyproject.toml":
        return document
    tool = document.get("tool")
    section = tool.get("gradlint") if isinstance(tool, dict) else None
    if section is not None and not isinstance(section, dict):
        raise ConfigError(f"{file}: tool.gradlint: expected a table, got {_kind(section)}")
    return section


@dataclass(frozen=True, slots=True)
class _Settings:
    """A TOML table whose values must have the type that is asked for."""

    file: Path
    table: Mapping[str, object]

    def refuse_unknown(self, keys: tuple[str, ...]) -> None:
        for key in self.table:
            if key not in keys:
                raise self._wrong(key, f"unknown setting{did_you_mean(key, keys)}")

    def strings(self, key: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        return self._strings(key, self.table[key]) if key in self.table else default

    def flag(self, key: str, *, default: bool) -> bool:
        value = self.table.get(key, default)
        if not isinstance(value, bool):
            raise self._wrong(key, f"expected true or false, got {_kind(value)}")
        return value

    def choice(self, key: str, allowed: tuple[str, ...], *, default: str) -> str:
        return self._choice(key, self.table.get(key, default), allowed)

    def string(self, key: str) -> str:
        value = self.table.get(key, "")
        if not isinstance(value, str):
            raise self._wrong(key, f"expected a string, got {_kind(value)}")
        return value

    def lists(self, key: str) -> Mapping[str, tuple[str, ...]]:
        return {name: self._strings(f"{key}.{name}", value) for name, value in self._table(key).items()}

    def levels(self, key: str) -> Mapping[str, str]:
        return {name: self._choice(f"{key}.{name}", value, LEVELS) for name, value in self._table(key).items()}

    def _table(self, key: str) -> Mapping[str, object]:
        value = self.table.get(key, {})
        if not isinstance(value, dict):
            raise self._wrong(key, f"expected a table, got {_kind(value)}")
        return value

    def _strings(self, key: str, value: object) -> tuple[str, ...]:
        if not isinstance(value, list):
            raise self._wrong(key, f"expected a list of strings, got {_kind(value)}")
        for item in value:
            if not isinstance(item, str):
                raise self._wrong(key, f"expected a list of strings, but it holds {_kind(item)}")
        return tuple(value)

    def _choice(self, key: str, value: object, allowed: tuple[str, ...]) -> str:
        if not isinstance(value, str) or value not in allowed:
            hint = did_you_mean(value, allowed) if isinstance(value, str) else ""
            raise self._wrong(key, f"expected one of {', '.join(allowed)}, got {value!r}{hint}")
        return value

    def _wrong(self, key: str, message: str) -> ConfigError:
        return ConfigError(f"{self.file}: {key}: {message}")


def _kind(value: object) -> str:
    names = {
        str: "a string",
        bool: "a boolean",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "a table",
    }
    return names.get(type(value), f"a {type(value).__name__}")
