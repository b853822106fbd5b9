"""Which rule packs are installed, read from the installed packages' own files.

``importlib.metadata`` says the same and takes longer to import than a small file takes to check. Where these
files are not all there is (archives, importers of other makes) nothing is said, and it has to be asked.
"""

import os
import sys

BUILTIN = "gradlint_rules"  # by its name as a package; rules are not known by theirs
_GROUP = "[gradlint.rules]"
_INFO = (".dist-info", ".egg-info")
_NAMESAKE = ("gradlint-", "gradlint.")


def only_builtin() -> bool:
    """Whether the built-in rules are all there are, and no package stands in our way."""
    if any(hasattr(finder, "find_distributions") and not _is_pythons(finder) for finder in sys.meta_path):
        return False
    try:
        found = {pack for folder in dict.fromkeys(sys.path) for pack in _offered(folder or ".")}
    except (OSError, UnicodeDecodeError):
        return False
    return found == {BUILTIN}


def _is_pythons(finder: object) -> bool:
    return getattr(finder, "__module__", "").startswith(("_frozen_importlib", "importlib."))


def _offered(folder: str) -> list[str]:
    """The packs of one folder of the search path; an empty name where we are not sure."""
    if not os.path.isdir(folder):
        return [""] if os.path.exists(folder) else []
    found: list[str] = []
    for name in os.listdir(folder):
        lower = name.lower()
        if lower.endswith(_INFO):
            if lower.startswith(_NAMESAKE):
                return [""]
            found += _points(os.path.join(folder, name, "entry_points.txt"))
        elif lower in ("egg-info", "egg-info.txt") or lower.endswith(".egg"):
            return [""]
    return found


def _points(file: str) -> list[str]:
    try:
        with open(file, encoding="utf-8") as opened:
            text = opened.read()
    except (FileNotFoundError, NotADirectoryError):
        return []
    if _GROUP not in text:
        return [""] if "gradlint.rules" in text else []  # a group that is spelt in a way we do not expect
    section = text.partition(_GROUP)[2].partition("\n[")[0]
    return [line.partition("=")[2].strip() for line in section.splitlines() if line.strip()]


def codes() -> frozenset[str]:
    """The codes of all rules, read from their files; nothing where these are not found."""
    folders = [folder for path in sys.path if os.path.isfile(os.path.join(folder := _pack(path), "__init__.py"))]
    own = os.path.dirname(os.path.dirname(__file__))
    places = [*folders[:1], os.path.join(own, "suppress"), os.path.join(own, "join")]
    return frozenset(code for place in places for code in _in_folder(place)) if folders else frozenset()


def _pack(path: str) -> str:
    return os.path.join(path or ".", BUILTIN)


def _in_folder(folder: str) -> list[str]:
    found: list[str] = []
    for name in os.listdir(folder):
        if name.endswith(".py"):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                found += [piece.partition('"')[0] for piece in file.read().split('\n@rule("')[1:]]
    return found
