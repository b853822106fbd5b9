"""Which tool it is that left something in the cache: this Python, and the code of gradlint and of its rules."""

import hashlib
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

_OURS = Path(__file__).parent.parent


def tool(packages: Iterable[str]) -> bytes | None:
    """A digest of all code that an answer depends on; None if some of it is in no file."""
    digest = hashlib.blake2b(sys.version.encode(), digest_size=16)
    for name in sorted(set(packages) - {_OURS.name}):
        files = [*_files(name)]
        if not files:
            return None
        for file in files:
            _add(digest, file)
    digest.update(_our_code())
    return digest.digest()


@cache
def _our_code() -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for file in sorted(_OURS.rglob("*.py")):
        _add(digest, file)
    return digest.digest()


def _add(digest: "hashlib.blake2b", file: Path) -> None:
    text = file.read_bytes()
    digest.update(f"{file} {len(text)}\n".encode("utf-8", "surrogatepass"))
    digest.update(text)


def _files(package: str) -> Iterator[Path]:
    """The files of an imported package, or of a module alone."""
    module = sys.modules.get(package)
    for folder in getattr(module, "__path__", ()):
        yield from sorted(Path(folder).rglob("*.py"))
    file = getattr(module, "__file__", None)
    if file is not None and not hasattr(module, "__path__"):
        yield Path(file)
