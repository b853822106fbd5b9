"""Putting saved-tensor hooks below everything a program does, and out of the way where torch allows none.

Hooks are per thread and a stack; the innermost pair wins, so a program's own hooks work as without us. Ours are
taken off around `torch.func` transforms, which refuse hooks, and around custom functions, whose `ctx.saved_tensors`
must be the very tensors that were saved; what those hold is read from their graph node instead.
"""

import functools
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch

from gradlint.trace.patches import Method, Patches
from gradlint.trace.saved import Account
from gradlint.trace.torch_api import plain
from gradlint.trace.tracer import Tracer

_hooks: Any = vars(torch._C)["_autograd"]


class Hooks(threading.local):
    """Our pair on the running thread's stack."""

    def __init__(self, account: Account) -> None:
        self.pair = account.pack, account.unpack
        self.aside = 0
        self.begun = False

    def push(self) -> None:
        """Put them on the stack."""
        _hooks._push_saved_tensors_default_hooks(*self.pair)

    def begin(self) -> None:
        """Put them on the stack of a thread that has none of ours yet."""
        if not self.begun:
            self.begun = True
            self.push()

    def pop(self) -> bool:
        """Take them off if they are on top; whether they were."""
        top = _hooks._top_saved_tensors_default_hooks(True)
        if top is None or top[0] != self.pair[0]:
            return False
        _hooks._pop_saved_tensors_default_hooks()
        return True


class Deep:
    """Accounts for every tensor saved while it is installed."""

    def __init__(self, tracer: Tracer, around: Sequence["Deep"] = ()) -> None:
        self.account: Account = Account(tracer, [deep.account for deep in around])
        self._hooks = Hooks(self.account)
        self._around = around
        self._tracer = tracer

    def install(self, patches: Patches) -> None:
        """Begin, on this thread and on those that start later."""
        self._hooks.begin()
        patches.replace(threading.Thread, "_bootstrap_inner", self._in_thread)
        patches.replace(_hooks, "_saved_tensors_hooks_disable", self._disable)
        patches.replace(_hooks, "_saved_tensors_hooks_enable", self._enable)
        patches.replace(torch.autograd.Function, "apply", self._apply)

    def remove(self) -> None:
        """End; a pair that lies below a program's own stays where it is, and counts for nobody."""
        self.account.settle()
        self._hooks.pop()

    def _in_thread(self, original: Method) -> Method:
        def _bootstrap_inner(thread: threading.Thread) -> None:
            for deep in (*self._around, self):  # the outermost tracer's lowest, though its wrapper runs last
                deep._hooks.begin()
            original(thread)

        return _bootstrap_inner

    def _disable(self, original: Method) -> Method:
        def _saved_tensors_hooks_disable(message: str, fail_if_non_empty: bool = True) -> None:
            if fail_if_non_empty and self._hooks.pop():
                self._hooks.aside += 1
            original(message, fail_if_non_empty)

        return _saved_tensors_hooks_disable

    def _enable(self, original: Method) -> Method:
        def _saved_tensors_hooks_enable() -> None:
            original()
            if self._hooks.aside:
                self._hooks.aside -= 1
                self._hooks.push()

        return _saved_tensors_hooks_enable

    def _apply(self, original: Method) -> Method:
        @functools.wraps(original)
        def apply(cls: type[torch.autograd.Function], *args: Any, **options: Any) -> Any:
            if torch.compiler.is_compiling() or not self._hooks.pop():
                return original(cls, *args, **options)
            try:
                result = original(cls, *args, **options)
            finally:
                self._hooks.push()
            if plain():
                self._node(result)
            return result

        return apply

    def _node(self, result: object) -> None:
        """Count what the node of a custom function holds."""
        results = result if isinstance(result, tuple) else (result,)
        graph: Any = next((r.grad_fn for r in results if isinstance(r, torch.Tensor) and r.grad_fn is not None), None)
        state = self._tracer.threads.state
        if graph is None or state.busy or not isinstance(graph, torch.autograd.function.BackwardCFunction):
            return
        state.busy = True
        try:
            saved = list(_of_node(graph))
            if saved:
                graph.register_prehook(self.account.hold_node(saved))
        finally:
            state.busy = False


def _of_node(graph: Any) -> Iterator[torch.Tensor]:
    """The tensors that a custom function saved or keeps in its context, without those that are there anyway."""
    try:
        saved: Iterable[torch.Tensor | None] = graph.saved_tensors
    except RuntimeError:  # written to since: its backward will say so
        return
    for tensor in (*saved, *_kept(vars(graph).values())):
        if tensor is not None and not (tensor.requires_grad and tensor.is_leaf):
            yield tensor


def _kept(values: Iterable[object]) -> Iterator[torch.Tensor]:
    """Tensors among the attributes of a context, or in a list or tuple there (what AOTAutograd compiles has one)."""
    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from (part for part in value if isinstance(part, torch.Tensor))
