"""The facts of files, by what stands in them: of files that did not change nothing is read again."""

import hashlib
import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TypeVar, cast

from gradlint.cache import parts, store
from gradlint.cache.store import BrokenCache, CacheError
from gradlint.model.facts import ModuleFacts
from gradlint.model.packing import PackingError, packed, unpacked
from gradlint.source import Source

Held = TypeVar("Held")

_LEVEL = 1  # of compression: a third of the size, at a tenth of the cost of packing


class Facts:
    """Facts of earlier runs in the cache of a ``folder``, and of this process's runs if it is to ``hold`` them.

    Without a folder nothing is written. What goes wrong is kept in ``trouble``: a run goes on without.
    """

    def __init__(self, folder: str | None, *, hold: bool = False) -> None:
        self._folder = folder
        self.holds = hold
        self._held: dict[str, tuple[bytes, ModuleFacts]] = {}
        self._used: list[bytes] = []
        self._left: object = None
        self.trouble = ""

    def recall(self, sources: Sequence[Source]) -> Mapping[str, ModuleFacts]:
        """What is known of sources, by path."""
        keys = {source.path: _key(source) for source in sources}
        held = {path: self._held[path][1] for path, key in keys.items() if self._held.get(path, (b"",))[0] == key}
        stored = self._stored([key for path, key in keys.items() if path not in held])
        self._used = [*stored]
        found = {path: facts for path, key in keys.items() if (facts := _loaded(stored.get(key), path)) is not None}
        self._remember({path: keys[path] for path in {**held, **found}}, {**held, **found})
        return {**held, **found}

    def keep(self, sources: Sequence[Source], facts: Mapping[str, ModuleFacts]) -> None:
        """Keep what has been read, for later runs."""
        keys = {source.path: _key(source) for source in sources if source.path in facts}
        if self.holds:
            self._held.update((path, (key, facts[path])) for path, key in keys.items())
        if self._folder is None or not keys:
            return
        new = {key: zlib.compress(packed(replace(facts[path], path="")), _LEVEL) for path, key in keys.items()}
        try:
            file = store.prepare(self._folder)
            try:
                parts.put(file, new, self._used)
            except BrokenCache as broken:
                store.discard(file)
                parts.put(file, new)
                raise CacheError(f"{broken}; it was replaced") from broken
        except CacheError as error:
            self.trouble = str(error)

    def held(self, make: Callable[[], Held]) -> Held:
        """What earlier runs of this process left to go on with, always of one kind; made if there is none."""
        left = make() if self._left is None else cast(Held, self._left)
        if self.holds:
            self._left = left
        return left

    def _remember(self, keys: Mapping[str, bytes], facts: Mapping[str, ModuleFacts]) -> None:
        """Hold the facts of the sources there are, and no others."""
        if self.holds:
            self._held = {path: (key, facts[path]) for path, key in keys.items()}

    def _stored(self, keys: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """What the caches of the folder and those above it hold; a broken one is mended when facts are kept."""
        if self._folder is None or not keys:
            return {}
        for file in store.find(self._folder):
            try:
                if found := parts.get(file, keys):
                    return found
            except CacheError as error:
                self.trouble = str(error)
        return {}


def _loaded(data: bytes | None, path: str) -> ModuleFacts | None:
    """Facts from the cache; None if there are none, or what is there cannot be used."""
    if data is None:
        return None
    try:
        return replace(unpacked(zlib.decompress(data)), path=path)
    except (zlib.error, PackingError):
        return None


def _key(source: Source) -> bytes:
    """All that the facts of a source depend on."""
    return hashlib.blake2b(source.text.encode("utf-8", "surrogatepass"), digest_size=16, key=_reader()).digest()


@cache
def _reader() -> bytes:
    """What reads sources: this Python, and the code of the model."""
    files = sorted(Path(__file__).parent.parent.glob("model/**/*.py"))
    digest = hashlib.blake2b(sys.version.encode(), digest_size=32)
    for file in files:
        digest.update(file.read_bytes())
    return digest.digest()
