"""What names of torch and of frameworks mean for grad mode: tables, not code.

Sources: ``torch/autograd/grad_mode.py`` and ``torch/autograd/__init__.py`` of 2.13 for the spellings; the
frameworks' documentation and sources, named beside each row, for hooks that run under a guard of theirs.
"""

import re
from typing import Literal

GradModeName = Literal["no_grad", "enable_grad", "set_grad_enabled", "inference_mode"]

_MODES: tuple[GradModeName, ...] = ("no_grad", "enable_grad", "set_grad_enabled", "inference_mode")
_HOMES = ("torch", "torch.autograd", "torch.autograd.grad_mode")

GRAD_MODES: dict[str, GradModeName] = {f"{home}.{mode}": mode for home in _HOMES for mode in _MODES}
GRAD_MODES["torch._C._set_grad_enabled"] = "set_grad_enabled"

IS_GRAD_ENABLED = frozenset({"torch.is_grad_enabled", "torch._C.is_grad_enabled", "torch.autograd.is_grad_enabled"})

# What asks for the mode, by full name; neither is found under ``torch.autograd``.
GRAD_QUERIES: dict[str, str] = {
    f"{home}.{query}": query
    for home in ("torch", "torch._C")
    for query in ("is_grad_enabled", "is_inference_mode_enabled")
}

# A context manager or decorator we cannot look into, but whose name says that it manages grad mode.
GUARD_LIKE = re.compile(
    r"no_?grad|inference_?mode|(in_)?eval(uation)?_mode|(disable|without|set|toggle|maybe|freeze)_?grad|grad_?mode|evaluating",
    re.I,
)
# A variable holding some context: nobody can say which.
CONTEXT_LIKE = re.compile(r"grad|infer|eval|ctx|context|mode|cm$", re.I)

CONTEXT_MANAGER_DECORATORS = frozenset({"contextmanager", "asynccontextmanager"})

# Calls that start their callable somewhere else, where grad mode is on again (thread-local state).
THREAD_STARTERS = re.compile(r"(^|\.)(Thread|Timer|submit|to_thread|run_in_executor|Process)$")
THREAD_POOLS = frozenset({"ThreadPoolExecutor", "ThreadPool"})
THREAD_POOL_METHODS = frozenset({"map", "imap", "imap_unordered", "starmap", "apply", "apply_async", "map_async"})

MODULE_BASES = frozenset({"torch.nn.Module", "torch.nn.modules.Module", "torch.nn.modules.module.Module"})
# Classes of modules: what derives from one is a module, whether it has a ``forward`` of its own or not. ``torch.nn`` of
# 2.13 is tested; of the other packages these parts hold little else that anybody derives from.
MODULE_CLASSES = re.compile(
    r"^(torch\.nn\.((modules|parallel|quantized|intrinsic|qat)\.(\w+\.)*)?"
    r"(?!(Uninitialized)?(Parameter|Buffer)$|\w*(Options|Keys|Protocol|Handle|Hook|Context|Config|Sink)$)_?[A-Z]\w*"
    r"|torch\.(ao\.nn\.(\w+\.)+[A-Z]\w*|jit\.ScriptModule|fx\.GraphModule)"
    r"|(torchvision\.(models|ops)|timm\.(models|layers)|torch_geometric\.nn|monai\.networks|segmentation_models_pytorch"
    r"|diffusers\.models)\.(\w+\.)*(?!\w*(Weights|Output|Params|Config|Type|Mode|Enum)$)[A-Z]\w*"
    r"|transformers\.(\w+\.)*\w*(Model|For[A-Z]\w*Generation|For[A-Z]\w*Classification|For[A-Z]\w*(LM|Answering)))$"
)
LIGHTNING_ROOTS = ("pytorch_lightning", "lightning", "lightning.pytorch", "lightning_fabric")

# Methods of objects outside the project that guard their own body.
# transformers ``GenerationMixin.generate`` is ``@torch.no_grad()``; diffusers' pipelines' ``__call__`` too;
# sentence_transformers' ``encode`` is ``@torch.inference_mode()``.
GUARDED_METHODS = frozenset({"generate", "generate_batch", "beam_search", "greedy_search", "contrastive_search"})

# Flags that tell a method of somebody else's object whether to record: ``sampler.sample(prior, requires_grad=False)``.
RECORDING_FLAGS: dict[str, bool] = {
    "requires_grad": True, "require_grad": True, "enable_grad": True, "with_grad": True, "use_grad": True,
    "track_grad": True, "no_grad": False, "disable_grad": False,
}  # fmt: skip

# Calls that give back the module they are given, or called on.
MODULE_WRAPPERS = frozenset(
    (
        "DataParallel DistributedDataParallel DDP FullyShardedDataParallel FSDP compile convert_sync_batchnorm "
        "data_parallel prepare prepare_model unwrap_model script"
    ).split()
)
WRAPPED = frozenset({"module", "_orig_mod"})  # under which DataParallel and torch.compile have it
SELF_RETURNING = frozenset(
    (
        "to cuda cpu eval train half float double bfloat16 xpu npu requires_grad_ to_empty share_memory apply type mps "
        "to_device"
    ).split()
)
