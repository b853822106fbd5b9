"""What the tracer uses of torch beyond its documented interface, in one place: imported only once torch is.

Each is looked up when it is needed and may be missing in another version; callers then do without.
"""

import os
import sys
from collections.abc import Callable
from typing import Any

import torch

FOLDER = os.path.dirname(os.path.abspath(torch.__file__))
is_grad_enabled: Callable[[], bool] = torch.is_grad_enabled
is_inference: Callable[[], bool] = torch.is_inference_mode_enabled
is_compiling: Callable[[], bool] = torch.compiler.is_compiling
flags: dict[str, Any] = torch.compiler.__dict__  # in which that looks; what is not there has another name by now
module_call: object = getattr(torch.nn.Module, "_call_impl", None)  # through which all modules are called

VERSION = str(torch.__version__)


def rank() -> int | None:
    """Which of several processes that train together this one is, as far as that is known yet.

    torchrun says so in the environment; others only to `torch.distributed.init_process_group`.
    """
    told = os.environ.get("RANK", "")
    if told.isdigit():
        return int(told)
    distributed = sys.modules.get("torch.distributed")
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return None
    return int(distributed.get_rank())


def mode() -> int:
    """The mode this thread really is in, as `Mode`'s number."""
    return 2 if is_inference() else 1 if is_grad_enabled() else 0


def plain() -> bool:
    """Whether operations really run: nothing is being compiled, exported, traced or transformed on this thread."""
    return not (is_compiling() or unreal())


def unreal() -> object:
    """Whether operations are traced, transformed or only pretended on this thread; whether compiled, is not asked."""
    return tracing() or transforming() or (modes() and _pretending())


def _pretending() -> bool:
    """Whether a mode is on in which operations are recorded or only pretended (others look on: `FlopCounterMode`)."""
    from torch.utils import _python_dispatch

    stack = getattr(_python_dispatch, "_get_current_dispatch_mode_stack", None)
    return stack is None or any(getattr(mode, "is_infra_mode", _yes)() for mode in stack())


def _yes() -> bool:
    return True


def _none() -> object:
    return None


tracing: Callable[[], object] = getattr(torch._C, "_get_tracing_state", _none)
transforming: Callable[[], object] = getattr(torch._C, "_are_functorch_transforms_active", _none)
modes: Callable[[], object] = getattr(torch._C, "_len_torch_dispatch_stack", _none)


def _unknown(storage: int) -> int:
    return 1


# How many tensors, and others, hold a storage (of this address, which must be alive).
uses: Callable[[int], int] = getattr(torch._C, "_storage_Use_Count", _unknown)


def hide_from_dynamo(function: Callable[..., object]) -> None:
    """Have `torch.compile` run a function of ours as it is, instead of compiling it; what C does it cannot compile."""
    code = getattr(function, "__code__", None)
    if code is None:
        return
    frames: Any = getattr(getattr(torch._C, "_dynamo", None), "eval_frame", None)
    skip = getattr(frames, "skip_code", None)
    if skip is not None:
        skip(code)
        return
    strategy = getattr(frames, "set_code_exec_strategy", None)
    if strategy is not None:
        action = frames._FrameAction
        strategy(code, frames._FrameExecStrategy(action.SKIP, action.DEFAULT))
