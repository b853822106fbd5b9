"""Settings that are understood without the rules; all others are for the full run to judge."""

import os
import sys

Table = dict[str, object]

_SELECTORS = ("select", "extend-select", "ignore")
_PATTERNS = ("exclude", "extend-exclude")
_NAMES = ("guards", "models", "inference-functions")
_LEVELS = ("error", "warning", "advice", "off")
_FORMATS = ("full", "concise")
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/*")


def table_above(folder: str) -> Table | None:
    """The settings that are in force for a folder, empty if there are none; None where they are not understood.

    Raises:
        OSError: when a file cannot be read.
        ValueError: when it is not TOML.
    """
    while True:
        if os.path.isfile(file := os.path.join(folder, "gradlint.toml")):
            return _checked(_loaded(file))
        if os.path.isfile(file := os.path.join(folder, "pyproject.toml")):
            tool = _loaded(file).get("tool")
            if isinstance(tool, dict) and tool.get("gradlint") is not None:
                return _checked(tool["gradlint"])
        above = os.path.dirname(folder)
        if above == folder:
            return {}
        folder = above


def _loaded(file: str) -> Table:
    with open(file, encoding="utf-8") as opened:
        text = opened.read()
    if not text.strip():
        return {}
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    return tomllib.loads(text)


def _checked(table: object) -> Table | None:
    if not isinstance(table, dict) or not all(_is_plain(key, value) for key, value in table.items()):
        return None
    wanted = _selectors(table)
    if wanted:
        from gradlint.quick.packs import codes

        known = codes()
        if not all(_fits(selector, known) for selector in wanted):
            return None
    return table


def _is_plain(key: str, value: object) -> bool:
    """Whether a setting is well formed, and changes nothing for files without findings that are named one by one."""
    if key in _SELECTORS or key in _NAMES:
        return _are_strings(value)
    if key in _PATTERNS:
        return _are_strings(value) and all(map(_is_pattern, _strings(value)))
    if key == "per-file-ignores":
        return isinstance(value, dict) and all(_is_pattern(p) and _are_strings(v) for p, v in value.items())
    if key == "severity":
        return isinstance(value, dict) and all(isinstance(level, str) and level in _LEVELS for level in value.values())
    if key == "output-format":
        return value in _FORMATS
    return (key == "respect-gitignore" and isinstance(value, bool)) or (key == "force-exclude" and value is False)


def _are_strings(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_pattern(text: str) -> bool:
    return _PLAIN.issuperset(text) and bool(text.strip("./*")) and "***" not in text


def _selectors(table: Table) -> list[str]:
    found: list[str] = []
    for key in _SELECTORS:
        found += _strings(table.get(key))
    by_file, severity = table.get("per-file-ignores"), table.get("severity")
    for listed in by_file.values() if isinstance(by_file, dict) else ():
        found += _strings(listed)
    return found + (list(severity) if isinstance(severity, dict) else [])


def _fits(selector: str, known: frozenset[str]) -> bool:
    return selector == "ALL" or (selector != "" and any(code.startswith(selector.upper()) for code in known))


def names(table: Table) -> list[str]:
    """The last parts of the names that the settings tell the analysis."""
    return [name.rpartition(".")[2] for key in _NAMES for name in _strings(table.get(key))]


def _strings(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
