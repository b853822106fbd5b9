"""Where a loaded library keeps the addresses of functions it calls: just enough of ELF64 to find those slots."""

import functools
import struct
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

_DYNAMIC, _LOAD = 2, 1  # kinds of program headers
_STRTAB, _SYMTAB, _PLTRELSZ, _JMPREL = 5, 6, 2, 23  # kinds of entries in the dynamic section


@dataclass(frozen=True, slots=True)
class Slot:
    """A function's entry in a library's table of calls: address, and whether its page can be written."""

    address: int
    writable: bool


class Library:
    """An ELF64 file, little endian.

    Raises:
        ValueError: for anything else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._data = path.read_bytes()
        if self._data[:6] != b"\x7fELF\x02\x01":
            raise ValueError(f"{path} is no 64-bit little-endian ELF file")
        start, size, count = self._header()
        headers = [struct.unpack_from("<IIQQQQQQ", self._data, start + i * size) for i in range(count)]
        self._loads = [header for header in headers if header[0] == _LOAD]
        self._dynamic = {tag: value for header in headers if header[0] == _DYNAMIC for tag, value in self._tags(header)}

    def _header(self) -> tuple[int, int, int]:
        (start,) = struct.unpack_from("<Q", self._data, 32)
        size, count = struct.unpack_from("<HH", self._data, 54)
        return start, size, count

    def _tags(self, header: tuple[int, ...]) -> Iterator[tuple[int, int]]:
        yield from struct.iter_unpack("<QQ", self._data[header[2] : header[2] + header[5] // 16 * 16])

    def _at(self, address: int) -> int:
        """Where in the file an address of the image is."""
        for _, _, offset, start, _, size, _, _ in self._loads:
            if start <= address < start + size:
                return int(offset + address - start)
        raise ValueError(f"{self.path}: address {address:#x} is in no segment")

    def _name(self, symbol: int) -> str:
        (name,) = struct.unpack_from("<I", self._data, self._at(self._dynamic[_SYMTAB]) + symbol * 24)
        start = self._at(self._dynamic[_STRTAB]) + name
        return self._data[start : self._data.index(b"\0", start)].decode("ascii", "replace")

    def slots(self, names: AbstractSet[str]) -> dict[str, int]:
        """Offsets of the slots through which the library calls these functions; those it does not call are left out."""
        if _JMPREL not in self._dynamic:
            return {}
        start = self._at(self._dynamic[_JMPREL])
        found = {}
        for offset, info, _ in struct.iter_unpack("<QQq", self._data[start : start + self._dynamic[_PLTRELSZ]]):
            name = self._name(info >> 32)
            if name in names:
                found[name] = offset
        return found


def loaded(path: Path) -> list[tuple[int, int, bool, int]]:
    """Start, end, writability and file offset of the mappings of a file in this process."""
    found = []
    for line in Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and fields[5] == str(path):
            start, end = (int(part, 16) for part in fields[0].split("-"))
            found.append((start, end, "w" in fields[1], int(fields[2], 16)))
    return found


@functools.cache
def _offsets(path: Path, changed: int, names: frozenset[str]) -> dict[str, int]:
    """The offsets of a file that changed last at this time: reading them takes milliseconds."""
    return Library(path).slots(names)


def slots(path: Path, names: set[str]) -> dict[str, Slot]:
    """The slots of a library that is loaded from this very path.

    Raises:
        ValueError: when it is not loaded, is no ELF file, or its slots lie outside its mappings.
        OSError: when the file or the list of mappings cannot be read.
    """
    path = path.resolve()
    mappings = loaded(path)
    base = min((start for start, _, _, offset in mappings if offset == 0), default=0)
    if not base:
        raise ValueError(f"{path} is not loaded")
    found = {}
    for name, offset in _offsets(path, path.stat().st_mtime_ns, frozenset(names)).items():
        address = base + offset
        writable = [w for start, end, w, _ in mappings if start <= address < end]
        if not writable:
            raise ValueError(f"{path}: the slot of {name} is not mapped")
        found[name] = Slot(address, writable[0])
    return found
