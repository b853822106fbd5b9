"""The exact source for CPU tensors: a few lines of C that torch's allocator tells of every block.

`libc10` reports each allocation and deletion to a bookkeeper that does nothing unless asked; it calls it through
its table of functions, and there our counter is put in front. The C code is compiled on first use and tried in a
process of its own; whatever seems odd means that another source is used instead.
"""

import contextlib
import ctypes
import hashlib
import json
import mmap
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from gradlint.trace import elf
from gradlint.trace.log import Buffer, Record
from gradlint.trace.memory import Unavailable
from gradlint.trace.swift import Swift

CALLS = {
    "_ZN3c1025ProfiledCPUMemoryReporter3NewEPvm": "new",
    "_ZN3c1025ProfiledCPUMemoryReporter6DeleteEPv": "delete",
}
ANSWERS = (  # whether gradients are recorded, whether inference mode is on, how many dispatch modes are
    "_ZN3c108GradMode10is_enabledEv",
    "_ZN3c1013InferenceMode10is_enabledEv",
    "_ZN3c104impl20TorchDispatchModeTLS9stack_lenEv",
)
_SOURCE = Path(__file__).parent / "counter.c"
_SOURCES = (
    *("counter.c", "hooks.c", "tracing.c", "modes.c", "watch.c", "tokens.c", "forwards.c"),
    *("native.py", "elf.py", "trial.py"),
)  # another version is tried anew
_TRIAL_SECONDS = 120


class Counter:
    """Live and peak bytes of CPU tensors, exact over all threads, from the moment it was put in place."""

    name = "cpu"
    label = "every allocation of torch's CPU allocator (without oneDNN's workspace, numpy, shared memory)"
    exact = True
    countable = True

    def __init__(self, library: ctypes.PyDLL, put: list[tuple[elf.Slot, int]]) -> None:
        self._put = put
        self._live = ctypes.c_int64.in_dll(library, "gradlint_live")
        self._peak = ctypes.c_int64.in_dll(library, "gradlint_peak")
        self._library = library
        self._take = library.gradlint_take
        self._take.restype, self._take.argtypes = ctypes.c_int64, []

    def take(self) -> tuple[int, int]:
        """Bytes in use now, and the most since the last call."""
        peak = self._take()
        return self._live.value, peak

    def live(self) -> int:
        """Bytes in use now."""
        return self._live.value

    def most(self) -> int:
        """The most since the last `take`."""
        return self._peak.value

    def recorder(self, chunk: Buffer, words: Buffer) -> Record | None:
        """What appends records to a chunk of a log, this source's figures in them; None without Python's headers."""
        make = getattr(self._library, "gradlint_recorder", None)
        if make is None:
            return None
        make.restype, make.argtypes = ctypes.py_object, [ctypes.py_object, ctypes.py_object]
        record: Record = make(chunk, words)
        return record

    def swift(self) -> Swift | None:
        """What else the library does in the place of Python functions; None if it was compiled without that."""
        return Swift.of(self._library)

    def close(self) -> None:
        """Put torch's own functions back; the library stays loaded, a thread may just be in it."""
        for slot, original in self._put:
            _write(slot, original)


def counter(libc10: Path) -> Counter:
    """The counter, at work.

    Raises:
        Unavailable: when this system, compiler or torch is not one it works with.
    """
    built = _built(libc10)
    try:
        return install(built, libc10)
    except (OSError, ValueError, AttributeError) as error:
        raise Unavailable(str(error)) from error


def install(built: Path, libc10: Path) -> Counter:
    """Put the compiled counter in front of torch's bookkeeper, without having tried it.

    Raises:
        ValueError, OSError, AttributeError: when torch is built in another way.
    """
    found = elf.slots(libc10, set(CALLS))
    if len(found) != len(CALLS):
        raise ValueError(f"{libc10.name} calls its bookkeeper in another way")
    library, torch = ctypes.PyDLL(str(built)), ctypes.CDLL(str(libc10))
    library.gradlint_reset()
    _ask(library, torch)
    put = []
    for name, short in CALLS.items():
        original = ctypes.cast(torch[name], ctypes.c_void_p).value or 0
        ctypes.c_void_p.in_dll(library, f"gradlint_{short}").value = original
        put.append((found[name], original))
    for (slot, _), short in zip(put, CALLS.values(), strict=True):
        _write(slot, ctypes.cast(library[f"gradlint_on_{short}"], ctypes.c_void_p).value or 0)
    return Counter(library, put)


def _ask(library: ctypes.PyDLL, torch: ctypes.CDLL) -> None:
    """Have the library ask torch itself for the running thread's modes, as far as it is found under these names."""
    ask = getattr(library, "gradlint_ask", None)
    if ask is not None:
        ask.restype, ask.argtypes = None, [ctypes.c_void_p] * len(ANSWERS)
        found = [getattr(torch, name, None) for name in ANSWERS]
        ask(*(None if function is None else ctypes.cast(function, ctypes.c_void_p) for function in found))


def _write(slot: elf.Slot, value: int) -> None:
    """Store an address into a slot, which is one aligned word: other threads see the old one or the new one."""
    if slot.writable:
        ctypes.c_uint64.from_address(slot.address).value = value
        return
    libc = ctypes.CDLL(None, use_errno=True)
    page = ctypes.c_void_p(slot.address // mmap.PAGESIZE * mmap.PAGESIZE)
    if libc.mprotect(page, mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_WRITE):
        raise OSError(ctypes.get_errno(), "cannot make the table of calls writable")
    ctypes.c_uint64.from_address(slot.address).value = value
    libc.mprotect(page, mmap.PAGESIZE, mmap.PROT_READ)


def _built(libc10: Path) -> Path:
    """The compiled counter, tried with this build of torch: both once, then remembered.

    Raises:
        Unavailable: when it cannot be compiled, or did not count right.
    """
    if sys.platform != "linux" or sys.byteorder != "little" or sys.maxsize < 2**32:
        raise Unavailable("it is for 64-bit Linux")
    library, verdict = (_cache() / f"counter-{_key(libc10)}{suffix}" for suffix in (".so", ".json"))
    with contextlib.suppress(OSError, ValueError):
        remembered = json.loads(verdict.read_bytes())
        if library.exists() and not remembered["why"]:
            return library
        if remembered["why"]:
            raise Unavailable(remembered["why"])
    try:
        _compile(library)
        why = _try(library, libc10)
        verdict.write_text(json.dumps({"why": why}))
    except OSError as error:
        raise Unavailable(str(error)) from error
    if why:
        raise Unavailable(why)
    return library


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gradlint"


def _key(libc10: Path) -> str:
    try:
        status = libc10.stat()
    except OSError as error:
        raise Unavailable(str(error)) from error
    text = f"{libc10} {status.st_size} {status.st_mtime_ns} {platform.machine()} {sys.version}"
    ours = b"".join((_SOURCE.parent / name).read_bytes() for name in _SOURCES)
    return hashlib.blake2b(ours + text.encode(), digest_size=8).hexdigest()


def _compile(library: Path) -> None:
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        raise Unavailable("there is no C compiler (cc, gcc, clang)")
    library.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        made = Path(folder) / "counter.so"
        command = [compiler, "-O2", "-shared", "-fPIC", "-pthread", "-o", str(made), str(_SOURCE)]
        headers = Path(sysconfig.get_path("include"))
        more = [f"-I{headers}", "-DGRADLINT_PYTHON"] if (headers / "Python.h").exists() else []
        done = subprocess.run([*command, *more], capture_output=True, text=True, check=False)
        if done.returncode and more:  # headers of another Python, say: it counts without them
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Unavailable(f"{compiler} failed: {done.stderr.strip().splitlines()[-1:]}")
        made.replace(library)


_TRIAL = """
import sys
sys.path.insert(0, sys.argv[1])
from gradlint.trace.trial import main
main(*sys.argv[2:])
"""


def _try(library: Path, libc10: Path) -> str:
    """What is wrong with the counter; empty if it counted right in a process that it may crash."""
    home = str(Path(__file__).parent.parent.parent)
    env = {key: value for key, value in os.environ.items() if not key.startswith("GRADLINT_")}
    command = [sys.executable, "-c", _TRIAL, home, str(library), str(libc10)]
    try:
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=_TRIAL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return "its trial hung"
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
