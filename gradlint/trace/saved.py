"""What autograd saves for backward, tensor by tensor: how much, by which line, and whether it is ever used.

Each saved tensor is wrapped in an object that its graph node holds, and frees when it would have freed the tensor.
Freed without having been unpacked, it was saved for nothing; if nobody else held its storage, its bytes were in
memory for nothing.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from types import FrameType
from typing import cast

import torch
from torch.multiprocessing.reductions import StorageWeakRef

from gradlint.trace.rows import ALIVE, SAVED, WASTED, Row
from gradlint.trace.torch_api import plain, uses
from gradlint.trace.tracer import Tracer

_CHANGED = (
    "one of the variables needed for gradient computation has been modified by an inplace operation: [{kind} {shape}], "
    "is at version {now}; expected version {then} instead. Hint: enable anomaly detection to find the operation that "
    "failed to compute its gradient, with torch.autograd.set_detect_anomaly(True)."
)


class Held:
    """A storage that graphs hold: by how many saved tensors, for which line, used or not."""

    __slots__ = ("account", "count", "inner", "key", "row", "size", "used", "weak")

    def __init__(self, account: "Account", key: int, size: int, row: Row, inner: Row) -> None:
        self.account = account
        self.key = key
        self.size = size
        self.row = row
        self.inner = inner
        self.count = 0
        self.used = False
        self.weak: object = None  # keeps the key valid where no `Saved` keeps the storage

    def release(self) -> None:
        """One saved tensor less."""
        if self.count > 1:
            self.count -= 1
        else:
            self.account.close(self)


class Saved:
    """What a graph node holds instead of a tensor."""

    __slots__ = ("held", "tensor", "version")

    def __init__(self, tensor: torch.Tensor, version: int, held: Held) -> None:
        self.tensor = tensor
        self.version = version
        self.held = held

    def __del__(self) -> None:
        held = self.held
        if held.count > 1:
            held.count -= 1
        else:
            held.account.close(held)


class Shared(Saved):
    """One that tracers around ours count too: torch calls only the innermost hooks."""

    __slots__ = ("also",)

    def __init__(self, tensor: torch.Tensor, version: int, held: Held, also: list[Held]) -> None:
        super().__init__(tensor, version, held)
        self.also = also

    def __del__(self) -> None:
        super().__del__()
        for held in self.also:
            held.release()


class Kept:
    """Hangs on a custom function's node: a backward comes by, or the node dies without one."""

    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held: list[Held] = []

    def __call__(self, gradients: object) -> None:
        """A backward comes by."""
        for held in self.held:
            held.used = True
        self.__del__()

    def __del__(self) -> None:
        while self.held:
            self.held.pop().release()


class Account:
    """Keeps count of all storages that graphs hold, for the accounts of tracers around this one too."""

    def __init__(self, tracer: Tracer, around: Sequence["Account"] = ()) -> None:
        self._tracer = tracer
        self._threads = tracer.threads
        self._around = around
        self.storages: dict[int, Held] = {}

    def pack(self, tensor: torch.Tensor) -> object:
        """What autograd is to hold in place of a tensor that it saves."""
        if tensor.requires_grad:
            if tensor.is_leaf:
                return tensor  # a parameter: its memory is there anyway
            base = tensor._base
            if base is not None and base.is_leaf and base.requires_grad:
                return tensor
        mine = tensor.detach()
        state = self._threads.state
        if state.busy or type(tensor) not in _KINDS or (state.root is None and not plain()):
            return mine  # inside a root module that was asked when its forward began
        try:
            key = tensor.untyped_storage()._cdata
        except (NotImplementedError, RuntimeError):  # sparse, meta: without memory of its own
            return mine
        try:
            held = self.storages.get(key)
            if held is None:
                held = self._meet(tensor, key, state.root, sys._getframe(1))
            held.count += 1
            if self._around:
                return Shared(mine, tensor._version, held, list(self._share(tensor, sys._getframe(1))))
            return Saved(mine, tensor._version, held)
        except Exception as error:  # noqa: BLE001
            self._tracer.broke(error)
            return mine

    def hold_node(self, saved: Iterable[torch.Tensor]) -> "Kept":
        """Account for what a custom function's node saved: the node holds it, and the result is to hang on it."""
        kept, frame = Kept(), sys._getframe(1)
        for tensor in saved:
            for account in (self, *self._around):
                held = account._held(tensor, frame) if type(tensor) in _KINDS else None
                if held is not None:
                    held.weak = held.weak or StorageWeakRef(tensor.untyped_storage())
                    held.count += 1
                    kept.held.append(held)
        return kept

    def _share(self, tensor: torch.Tensor, frame: FrameType) -> Iterator[Held]:
        """Have the tracers around this one count a saved tensor too."""
        for account in self._around:
            held = account._held(tensor, frame)
            if held is not None:
                held.count += 1
                yield held

    def _held(self, tensor: torch.Tensor, frame: FrameType) -> Held | None:
        """The account of a tensor's storage; None for one without memory of its own."""
        try:
            key = tensor.untyped_storage()._cdata
        except (NotImplementedError, RuntimeError):
            return None
        return self.storages.get(key) or self._meet(tensor, key, self._threads.state.root, frame)

    def _meet(self, tensor: torch.Tensor, key: int, row: Row | None, frame: FrameType) -> Held:
        """Begin to count a storage, for the line whose forward runs or else for the one that called into torch."""
        tracer = self._tracer
        rows = tracer.rows
        if row is None:
            row = rows.line(tracer.places.entry(frame, "forward"), 1)
        inner = rows.inner(tracer.places.nearest(frame, "saves"), row)
        size = tensor.untyped_storage().nbytes()
        held = self.storages[key] = Held(self, key, size, row, inner)
        row.save(size)
        inner.words[SAVED] += size
        return held

    def unpack(self, packed: object) -> torch.Tensor:
        """What a backward gets: the tensor, if nobody has written to it since."""
        if not isinstance(packed, Saved):
            return cast(torch.Tensor, packed)
        packed.held.used = True
        if isinstance(packed, Shared):
            for held in packed.also:
                held.used = True
        tensor = packed.tensor
        if tensor._version != packed.version:
            now, then = tensor._version, packed.version
            raise RuntimeError(_CHANGED.format(kind=tensor.type(), shape=list(tensor.shape), now=now, then=then))
        return tensor

    def close(self, held: Held) -> None:
        """No saved tensor holds a storage any more, which tells what becomes of its bytes."""
        held.count = 0
        if self.storages.get(held.key) is held:
            del self.storages[held.key]
        if not held.used and uses(held.key) <= (ALONE if held.weak is None else 0):
            held.row.free(held.size, held.size)
            held.inner.words[WASTED] += held.size
        else:
            held.row.words[ALIVE] -= held.size

    def settle(self) -> None:
        """At the end: what somebody else holds too is not kept alive by a graph."""
        for held in list(self.storages.values()):
            if uses(held.key) > held.count + ALONE - 1:
                held.row.free(held.size, 0)

    def forget(self) -> None:
        """In a child that was forked: what its parent saved is the parent's to count."""
        self.storages = {}


_KINDS = (torch.Tensor, torch.nn.Parameter)


def _alone() -> int:
    """How often a storage counts as used that one tensor holds (and Python has looked at)."""
    tensor = torch.empty(1)
    return uses(tensor.untyped_storage()._cdata)


ALONE = _alone()
