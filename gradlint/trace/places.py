"""Which line of the program did something: frames are walked outwards past torch, contextlib and this package.

A place is known by its code object and instruction, which costs a tenth of asking a frame for its line; the line
is looked up once. Code objects are kept (their identity is the key), frames never.
"""

import contextlib
import functools
import hashlib
import os
import sys
from types import CodeType, FrameType
from typing import Any

from gradlint.trace.log import Log

USER, INTERNAL, THROUGH, DECORATED = range(4)
_CALLERS, _FRAMES = 4, 16  # lines that are noted of those that led to a forward; frames that are looked at for them
_OURS = os.path.dirname(os.path.abspath(__file__)) + os.sep
_WRAPPERS = {"decorate_context", "generator_context"}  # what torch's decorators put around a function
_SEEN_THROUGH = {"decorate_autocast", "record", "_fn", "compile_wrapper"}  # they run a function of the program as it is
_CLOSED = "clip_grad.py"  # runs in most steps; to look at a frame's variables costs as much as all the rest
_FIXTURES = {"_pytest", "pluggy", "pytest_asyncio", "pytest_trio", "anyio"}  # packages that run generators as fixtures
_THROUGH = {contextlib.__file__, functools.__file__}


class Places:
    """Numbers for places, written to the log when first met. 0 is a place that is not the program's."""

    def __init__(self, torch_folder: str) -> None:
        self._log: Log | None = None
        self._notes: list[dict[str, object]] = []
        self._torch = torch_folder + os.sep
        self.kinds: dict[int, int] = {}
        self._users: set[int] = set()
        self._passed: set[int] = set()  # all other code, which walks pass over
        self.torchs: set[int] = set()  # of it, what changes modes for torch itself
        self.closed: set[int] = set()  # of that, what calls nobody else's decorated functions
        self._kept: list[object] = []
        self.numbers: dict[tuple[int, int, str], int] = {}
        self._files: set[str] = set()
        self._next = 1

    def write_to(self, log: Log) -> None:
        """Go on in another log, which must know what was met before."""
        self._log = log
        for fields in self._notes:
            log.note(**fields)

    def text(self, number: int) -> str:
        """A place as ``file:line``."""
        note = next((n for n in self._notes if n["type"] == "site" and n["id"] == number), None)
        return f"{note['file']}:{note['line']}" if note else "<unknown>"

    def kind(self, code: CodeType) -> int:
        """Whose code it is."""
        known = self.kinds.get(id(code))
        if known is None:
            known = self.kinds[id(code)] = self._judge(code)
            self._kept.append(code)
            (self._users if known == USER else self._passed).add(id(code))
            if known == INTERNAL and code.co_name != "clone":  # which makes regions anew for decorators
                self.torchs.add(id(code))
                if code.co_filename.endswith(_CLOSED):
                    self.closed.add(id(code))
        return known

    def _judge(self, code: CodeType) -> int:
        file = code.co_filename
        if file.startswith(self._torch):
            if code.co_name in _SEEN_THROUGH:
                return THROUGH
            return DECORATED if code.co_name in _WRAPPERS and file.endswith("_contextlib.py") else INTERNAL
        if file in _THROUGH or file.startswith((_OURS, "<frozen", "<eval_with_key>", "<torch")):
            return THROUGH
        return USER

    def caller(self, frame: FrameType | None, what: str) -> int:
        """The place that changed a grad mode: 0 if torch did it for itself."""
        while frame is not None:
            code = frame.f_code
            kind = self.kinds.get(id(code))
            if kind is None:
                kind = self.kind(code)
            if kind == USER:
                return self.numbers.get((id(code), frame.f_lasti, what)) or self._meet(code, frame.f_lasti, what)
            if kind == INTERNAL:
                return 0
            if kind == DECORATED:
                return self._decorated(frame, what)
            frame = frame.f_back
        return 0

    def nearest(self, frame: FrameType | None, what: str) -> int:
        """The innermost line of the program, whatever torch does between it and here; 0 if there is none."""
        passed, users = self._passed, self._users
        while frame is not None:
            code = frame.f_code
            number = id(code)
            if number not in passed and (number in users or self.kind(code) == USER):
                return self.numbers.get((id(code), frame.f_lasti, what)) or self._meet(code, frame.f_lasti, what)
            frame = frame.f_back
        return 0

    def way(self, frame: FrameType | None) -> tuple[int, ...]:
        """What tells `nearest` and `callers` of a frame from those of another, in a form that is quick to make."""
        found: list[int] = []
        passed, users = self._passed, self._users
        while frame is not None:
            code = frame.f_code
            number = id(code)
            if number not in passed and (number in users or self.kind(code) == USER):
                found.append(number)
                found.append(frame.f_lasti)
                if len(found) > 2 * _CALLERS:
                    break
            frame = frame.f_back
        return tuple(found)

    def callers(self, frame: FrameType | None) -> tuple[int, ...]:
        """The lines of the program that led to its innermost one, innermost first, as far as a reader would look."""
        found: list[int] = []
        kinds, inside = self.kinds, False
        for _ in range(_FRAMES):
            if frame is None or len(found) == _CALLERS:
                break
            code = frame.f_code
            kind = kinds.get(id(code))
            if kind is None:
                kind = self.kind(code)
            if kind == USER:
                if inside:
                    at = frame.f_lasti
                    found.append(self.numbers.get((id(code), at, "calls")) or self._meet(code, at, "calls"))
                inside = True
            frame = frame.f_back
        return tuple(found)

    def entry(self, frame: FrameType | None, what: str) -> int:
        """The outermost line of the program that called into torch; without one the innermost of the program."""
        best: FrameType | None = None
        inside, kinds = False, self.kinds
        while frame is not None:
            code = frame.f_code
            kind = kinds.get(id(code))
            if kind is None:
                kind = self.kind(code)
            if kind == USER:
                if inside or best is None:
                    best = frame
                inside = False
            elif kind == INTERNAL:
                inside = True
            frame = frame.f_back
        if best is None:
            return 0
        code = best.f_code
        return self.numbers.get((id(code), best.f_lasti, what)) or self._meet(code, best.f_lasti, what)

    def _decorated(self, frame: FrameType, what: str) -> int:
        """A function under a decorator stands for itself, whoever calls it; one of torch's own is torch's doing."""
        back = frame.f_back
        if back is None or (self.kind(back.f_code) == INTERNAL and id(back.f_code) in self.closed):
            return 0
        function: Any = frame.f_locals.get("func")
        code = getattr(function, "__code__", None)
        while isinstance(code, CodeType) and self.kind(code) == THROUGH and hasattr(function, "__wrapped__"):
            function = function.__wrapped__  # under another decorator, of contextlib's say
            code = getattr(function, "__code__", None)
        if not isinstance(code, CodeType) or self.kind(code) == INTERNAL:
            return 0
        return self.numbers.get((id(code), -1, what)) or self._meet(code, -1, what)

    def _meet(self, code: CodeType, instruction: int, what: str) -> int:
        key = (id(code), instruction, what)
        if key not in self.numbers:
            self.numbers[key] = self._next
            self._next += 1
            self._kept.append(code)
            self._write(code, instruction, what)
        return self.numbers[key]

    def _write(self, code: CodeType, instruction: int, what: str) -> None:
        path = _cell(code.co_filename)
        if not path:
            path = code.co_filename if code.co_filename.startswith("<") else os.path.abspath(code.co_filename)
            self._digest(path)
        line = code.co_firstlineno if instruction < 0 else line_of(code, instruction)
        name = getattr(code, "co_qualname", code.co_name)
        number = self.numbers[id(code), instruction, what]
        self._note(type="site", id=number, file=path, line=line, function=name, what=what, decorator=instruction < 0)

    def _digest(self, path: str) -> None:
        if path in self._files:
            return
        self._files.add(path)
        try:
            with open(path, "rb") as file:
                digest = hashlib.blake2b(file.read(), digest_size=16).hexdigest()
        except OSError:  # typed at a prompt, generated, or gone: nothing to compare with later
            return
        self._note(type="file", path=path, digest=digest)

    def _note(self, **fields: object) -> None:
        self._notes.append(fields)
        if self._log is not None:
            self._log.note(**fields)


def _cell(file: str) -> str:
    """What IPython and notebooks call a cell's code (``In[3]``), whose file is a made-up name; empty for other code."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", _nothing)()
    names = getattr(getattr(shell, "compile", None), "format_code_name", None)
    found = names(file) if names is not None else None
    return found[1] if isinstance(found, tuple) else ""


def _nothing() -> None:
    return None


def line_of(code: CodeType, instruction: int) -> int:
    """The line of an instruction; the function's first if the code has none for it."""
    for start, end, line in code.co_lines():
        if start <= instruction < end and line is not None:
            return line
    return code.co_firstlineno


def on_stack(code: CodeType) -> bool:
    """Whether a function is being run by this thread just now."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code is code:
            return True
        frame = frame.f_back
    return False


def managed(frame: FrameType) -> bool:
    """Whether a generator is run as a context manager or a fixture, whose body is meant to be suspended."""
    back = frame.f_back
    if back is None:
        return False
    file = back.f_code.co_filename
    return file in _THROUGH or os.path.basename(os.path.dirname(file)) in _FIXTURES
