"""The facts of files, by what stands in them: of files that did not change nothing is read again."""

import hashlib
import io
import marshal
import os
import sys
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import IO, TypeVar, cast

from gradlint.cache import parts, store
from gradlint.cache.store import BrokenCache, CacheError
from gradlint.cache.tool import tool
from gradlint.model.facts import ModuleFacts
from gradlint.model.packing import PackingError, packed, unpacked
from gradlint.source import Source

Held = TypeVar("Held")

_LEVEL = 1  # of compression: a third of the size, at a tenth of the cost of packing


class Deflated:
    """Takes bytes, and holds them compressed."""

    def __init__(self) -> None:
        self._packer = zlib.compressobj(_LEVEL)
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Take some more."""
        self._pieces.append(self._packer.compress(data))

    def data(self) -> bytes:
        """All of it, which ends it."""
        return b"".join((*self._pieces, self._packer.flush()))


class Facts:
    """Facts of earlier runs in the cache of a ``folder``, and of this process's runs if it is to ``hold`` them.

    Without a folder nothing is written. What goes wrong is kept in ``trouble``: a run goes on without.
    """

    def __init__(self, folder: str | None, *, scope: str = "", hold: bool = False) -> None:
        self._folder = folder
        self._scope = scope
        self.holds = hold
        self._held: dict[str, tuple[bytes, ModuleFacts]] = {}
        self._now: dict[str, tuple[bytes, ModuleFacts]] = {}
        self._used: list[bytes] = []
        self._left: object = None
        self.trouble = ""

    @property
    def forgets(self) -> bool:
        """Whether nothing is left for later runs."""
        return self._folder is None and not self.holds

    def recall(self, sources: Sequence[Source]) -> Mapping[str, ModuleFacts]:
        """What is known of sources, by path."""
        if self.forgets:
            return {}
        keys = {source.path: _key(source) for source in sources}
        held = {path: self._held[path][1] for path, key in keys.items() if self._held.get(path, (b"",))[0] == key}
        stored = self._stored([key for path, key in keys.items() if path not in held])
        self._used = [*stored]
        found = {path: facts for path, key in keys.items() if (facts := loaded(stored.get(key), path)) is not None}
        self._now = {path: (keys[path], facts) for path, facts in {**held, **found}.items()}
        if self.holds:  # the facts of the sources there are, and no others
            self._held = {**self._now}
        return {**held, **found}

    def key(self, path: str) -> bytes | None:
        """By what the facts of a source of this run are known, and found in the cache if they are kept there."""
        return self._now[path][0] if path in self._now else None

    def keep(self, sources: Sequence[Source], facts: Mapping[str, ModuleFacts], *, write: bool) -> None:
        """Keep what has been read, for later runs; ``write`` it, if so, for those of other processes."""
        if self.forgets:
            return
        keys = {source.path: _key(source) for source in sources if source.path in facts}
        self._now.update((path, (key, facts[path])) for path, key in keys.items())
        if self.holds:
            self._held.update((path, self._now[path]) for path in keys)
        if write and self._folder is not None and keys:
            new = {key: zlib.compress(packed(replace(facts[path], path="")), _LEVEL) for path, key in keys.items()}
            self._put(self._folder, new)

    def held(self, make: Callable[[], Held]) -> Held:
        """What earlier runs of this process left to go on with, always of one kind; made if there is none."""
        left = make() if self._left is None else cast(Held, self._left)
        if self.holds:
            self._left = left
        return left

    def recorded(self, about: str, packages: Collection[str]) -> tuple[IO[bytes], Sequence[ModuleFacts]] | None:
        """The record that another process left about something, and the facts it was made of."""
        if not self._used:
            return None  # where nothing is known of any source, nothing is to be gone on with
        key = self._record_key(about, packages)
        if key is None or (data := self._stored([key]).get(key)) is None:
            return None
        try:
            record = io.BytesIO(zlib.decompress(data))
            keys = marshal.load(record)
            facts = [*self._then(keys)]
        except (zlib.error, ValueError, EOFError, TypeError, AttributeError):
            return None
        return (record, facts) if len(facts) == len(keys) else None

    def _then(self, keys: Mapping[str, bytes]) -> Iterator[ModuleFacts]:
        """The facts by these keys; most are those of now."""
        others = [key for path, key in keys.items() if self._now.get(path, (b"",))[0] != key]
        stored = self._stored(others)
        for path, key in keys.items():
            now = self._now.get(path)
            facts = now[1] if now is not None and now[0] == key else loaded(stored.get(key), path)
            if facts is not None:
                yield facts

    def record(
        self, about: str, packages: Collection[str], paths: Sequence[str], write: Callable[["Deflated"], None]
    ) -> None:
        """Keep a record, written of what is known of these paths, for other processes."""
        key = self._record_key(about, packages)
        if key is not None and self._folder is not None and not self.trouble:
            record = Deflated()
            record.write(marshal.dumps({path: self._now[path][0] for path in paths}))
            write(record)
            self._put(self._folder, {key: record.data()})

    def _record_key(self, about: str, packages: Collection[str]) -> bytes | None:
        if self._folder is None or (made_by := tool(packages)) is None:
            return None
        text = repr((about, self._scope, os.getcwd())).encode("utf-8", "surrogatepass")
        return parts.RECORD + hashlib.blake2b(text, digest_size=16, key=made_by).digest()

    def _put(self, folder: str, new: Mapping[bytes, bytes]) -> None:
        try:
            file = store.prepare(folder)
            try:
                parts.put(file, new, self._used)
            except BrokenCache as broken:
                store.discard(file)
                parts.put(file, new)
                raise CacheError(f"{broken}; it was replaced") from broken
        except CacheError as error:
            self.trouble = str(error)

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


def loaded(data: bytes | None, path: str) -> ModuleFacts | None:
    """Facts from the cache; None if there are none, or what is there cannot be used."""
    if data is None:
        return None
    try:
        return replace(unpacked(zlib.decompress(data)), path=path)
    except (zlib.error, PackingError):
        return None


def _key(source: Source) -> bytes:
    """All that the facts of a source depend on."""
    return hashlib.blake2b(source.encoded, digest_size=16, key=_reader()).digest()


@cache
def _reader() -> bytes:
    """What reads sources: this Python, and the code of the model."""
    files = sorted(Path(__file__).parent.parent.glob("model/**/*.py"))
    digest = hashlib.blake2b(sys.version.encode(), digest_size=32)
    for file in files:
        digest.update(file.read_bytes())
    return digest.digest()
