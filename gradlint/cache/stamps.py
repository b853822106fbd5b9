"""Whether files and folders are as they were: by what the system says of them, without reading any."""

import os
from collections.abc import Iterable, Mapping

# Time of the last change of the content and of anything else, size, number on its device.
Stamp = tuple[int, int, int, int]
Stamps = Mapping[str, Stamp | None]  # by path; None where there was no file
Listing = tuple[str, ...]


def stamp(path: str) -> Stamp | None:
    """What tells a file from its other states; None if there is no such file."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


def is_young(found: Stamp | None, moment: int) -> bool:
    """Whether a file was touched at a moment (nanoseconds since 1970), or later."""
    return found is not None and max(found[:2]) >= moment


def listing(folder: str) -> Listing | None:
    """What a search for files sees in a folder; None if it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return listed((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
    except OSError:
        return None


def listed(entries: Iterable[tuple[str, bool]]) -> Listing:
    """A listing of names, each with whether it is a folder."""
    return tuple(
        sorted(
            f"{name}/" if is_folder else name
            for name, is_folder in entries
            if (is_folder and name not in _IRRELEVANT) or name.endswith((".py", ".ipynb")) or name == ".gitignore"
        )
    )


_IRRELEVANT = frozenset({"__pycache__", ".gradlint_cache"})


def changed(files: Stamps) -> dict[str, Stamp | None]:
    """Those of some files that are not as they were, as they are now."""
    return {path: now for path, found in files.items() if (now := stamp(path)) != found}


def same_folders(folders: Mapping[str, tuple[Stamp | None, Listing]]) -> bool:
    """Whether all folders hold the same names; those that were touched are read, the others not."""
    return all(
        (known is not None and stamp(folder) == known) or listing(folder) == names
        for folder, (known, names) in folders.items()
    )
