"""The process that examples run in: ``python -m gradlint.testing.stage``.

Reads one request (JSON) per line, answers each with one line. With ``--once`` it ends after the first, and
forks no process. torch is imported by name, at run time: the static half of gradlint works without it, and
this module is only ever run where torch is under test.
"""

import contextlib
import importlib
import json
import os
import select
import signal
import sys
import tempfile
import types
import warnings
import weakref
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Answer = dict[str, Any]


class Meter:
    """Counts the bytes that autograd holds for backward.

    Each storage counts once; leaves that require grad do not count, they are there anyway.
    """

    def __init__(self) -> None:
        self.sizes: dict[int, int] = {}
        self.holders: Counter[int] = Counter()
        self.peak = 0

    @property
    def held(self) -> int:
        """Bytes held now."""
        return sum(self.sizes[key] for key, count in self.holders.items() if count)

    def pack(self, tensor: Any) -> "Saved":
        """Take note of a tensor that autograd saves."""
        saved = Saved(tensor.detach())  # not the tensor itself: an output would keep its own graph alive
        owner = tensor._base if tensor._is_view() else tensor
        if not (owner.is_leaf and owner.requires_grad):
            storage = tensor.untyped_storage()
            key = storage._cdata
            self.sizes[key] = storage.nbytes()
            self.holders[key] += 1
            self.peak = max(self.peak, self.held)
            weakref.finalize(saved, self._release, key)
        return saved

    def _release(self, key: int) -> None:
        self.holders[key] -= 1


class Saved:
    """A tensor in a graph's keeping; when the graph is freed, so is this."""

    __slots__ = ("__weakref__", "tensor")

    def __init__(self, tensor: Any) -> None:
        self.tensor = tensor


def main(arguments: list[str]) -> None:
    """Answer requests until there are no more."""
    torch = _torch()
    if "--once" in arguments:
        print(json.dumps(_perform(torch, json.loads(sys.stdin.readline()))), flush=True)
        return
    for line in sys.stdin:
        print(json.dumps(_forked(torch, json.loads(line))), flush=True)


def _torch() -> Any:
    torch = importlib.import_module("torch")
    importlib.import_module("torch._dynamo")  # every optimizer imports it, and that takes longer than torch
    torch.set_num_threads(1)
    return torch


def _forked(torch: Any, request: Answer) -> Answer:
    """Perform in a child process, so that nothing is left behind of mode, warnings or imports."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        with os.fdopen(writer, "w") as out:
            json.dump(_perform(torch, request), out)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        text = _read(answer.fileno(), request["timeout"])
    if text is None:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if text is None:
        return {"crashed": f"did not end within {request['timeout']} seconds"}
    return json.loads(text) if text else {"crashed": f"the process died with wait status {status}"}


def _read(descriptor: int, timeout: float) -> str | None:
    """All that is written, or None if a silence is longer than ``timeout`` seconds."""
    chunks: list[bytes] = []
    while select.select([descriptor], [], [], timeout)[0]:
        if not (chunk := os.read(descriptor, 65536)):
            return b"".join(chunks).decode()
        chunks.append(chunk)
    return None


def _perform(torch: Any, request: Answer) -> Answer:
    """Run one example in a folder of its own, as the program ``__main__``."""
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder, _silent_in(folder), _recorded() as caught:
        for path, text in request["files"]:
            target = Path(folder, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        main_path, main_text = request["files"][-1]
        names = _main_module(main_path)
        if failure := _raised("setup", request["prelude"], names):
            return {"crashed": "the setup raised " + ": ".join(failure)}
        caught.clear()
        answer = _measured(torch, request, main_path, main_text, names)
        warned = [[warning.category.__name__, str(warning.message)] for warning in caught]
    return answer | {"warned": warned}


def _measured(torch: Any, request: Answer, path: str, text: str, names: dict[str, Any]) -> Answer:
    meter = Meter()
    hooks = torch.autograd.graph.saved_tensors_hooks(meter.pack, lambda saved: saved.tensor)
    with hooks if request["count"] else contextlib.nullcontext():
        failure = _raised(path, text, names)
        runs = [None if failure else _raised("run", statement, names) for statement in request["runs"]]
    held = meter.held
    return {
        "raised": [failure, *runs],
        "peak": meter.peak,
        "held": held,
        "shown": {expression: _shown(expression, names) for expression in request["shows"]},
        "values": {name: value for name in names if (value := _value(names[name], torch)) is not None},
    }


def _raised(path: str, text: str, names: dict[str, Any]) -> list[str] | None:
    """Execute; the class and message of the exception, if there is one."""
    try:
        exec(compile(text, path, "exec"), names)
    except (Exception, SystemExit) as error:  # noqa: BLE001 whatever an example raises is what it is run for
        return [type(error).__name__, str(error)]
    return None


def _shown(expression: str, names: dict[str, Any]) -> str:
    try:
        value = eval(expression, names)
        return "true" if value else f"it is {value!r}"
    except Exception as error:  # noqa: BLE001 the same
        return f"it raised {type(error).__name__}: {error}"


def _value(value: Any, torch: Any) -> Any:
    """The numbers in a tensor, a number, or a list or tuple of such; None for everything else."""
    if isinstance(value, torch.Tensor):
        return value.detach().tolist()
    if isinstance(value, list | tuple) and value:
        values = [_value(item, torch) for item in value]
        return None if None in values else values
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _main_module(path: str) -> dict[str, Any]:
    module = types.ModuleType("__main__")
    module.__file__ = path
    sys.modules["__main__"] = module
    return vars(module)


@contextlib.contextmanager
def _silent_in(folder: str) -> Iterator[None]:
    """Work in a folder, importing from it, with nothing printed."""
    before = os.getcwd()
    os.chdir(folder)
    sys.path.insert(0, folder)
    with open(os.devnull, "w") as nothing, contextlib.redirect_stdout(nothing):
        try:
            yield
        finally:
            os.chdir(before)
            sys.path.remove(folder)


@contextlib.contextmanager
def _recorded() -> Iterator[list[warnings.WarningMessage]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield caught


if __name__ == "__main__":
    main(sys.argv[1:])
