"""The abstract run over calls of functions outside the project: torch, builtins, other libraries."""

from dataclasses import replace

from gradlint.model.torch_calls import (
    FACTORIES,
    GRADIENT_FUNCTIONS,
    GUARDED_HUBS,
    MODULE_FACTORIES,
    MODULE_TUPLE_FACTORIES,
    NOT_A_MODULE,
    OPTIMIZERS,
    READING_FUNCTIONS,
    VALUES_AND_INDICES,
    WRAPPED_TENSORS,
)
from gradlint.model.torch_names import MODULE_WRAPPERS
from gradlint.project import evaluate
from gradlint.project.invocation import Invocation
from gradlint.project.invoke_unknown import on_unknown
from gradlint.project.nodes import External
from gradlint.project.values import NUMBER, UNKNOWN, Value, plain


def on_external(it: Invocation, name: str) -> Value:
    """A call of something outside the project, by its full name."""
    if GRADIENT_FUNCTIONS.search(name):
        if "clip_grad" not in name:
            it.run.note_gradient(it.at)
            it.run.flow.used(it.given, "trained", it.at, name)
        return plain(it.given)
    if name in FACTORIES:
        return _factory(it, name)
    if name in WRAPPED_TENSORS:
        return _wrapped(it, name)
    if OPTIMIZERS.search(name):
        return Value("optimizer")
    if MODULE_TUPLE_FACTORIES.search(name):
        module = Value("module", target=External(name), certainty="known")
        return Value("container", items=(module, UNKNOWN, UNKNOWN))
    if (first := it.argument(0)) is not None and name.rpartition(".")[2] in MODULE_WRAPPERS:
        return first if first.kind == "module" else UNKNOWN
    if NOT_A_MODULE.search(name):
        return Value("callable", target=External(f"{name}.instance"))
    if name == "torch.hub.load" and first is not None and GUARDED_HUBS.search(str(first.constant)):
        return Value("callable", target=External("ultralytics.YOLO.instance"))
    if MODULE_FACTORIES.search(name):
        return Value("module", target=External(name), certainty="known")
    if name in ("torch.load", "copy.deepcopy", "copy.copy"):
        return first if name != "torch.load" and first is not None else UNKNOWN
    last = name.rpartition(".")[2]
    if name.startswith("torch.") and last in VALUES_AND_INDICES and len(it.arguments) > 1:
        return values_and_indices(it)
    if name == "torch.no_grad" or READING_FUNCTIONS.search(name):
        it.read(last)
        if name.startswith("numpy."):
            return Value("array")
        return NUMBER if name.startswith("builtins.") else Value(target=External(name))
    if name.startswith("torch.") and first is not None:
        return evaluate.computed([a.value for a in it.arguments], it.given, it.at, it.run)
    if name in (
        "builtins.zip",
        "builtins.enumerate",
        "builtins.reversed",
        "builtins.list",
        "builtins.iter",
    ) or last in ("tqdm", "track", "islice", "cycle", "chain", "progress_bar"):
        return first if first is not None and first.kind in ("module", "parameters") else plain(it.given)
    if name in ("builtins.filter", "builtins.map") and len(it.arguments) > 1:
        second = it.arguments[1].value
        return second if second.kind == "parameters" else plain(it.carried)
    if name == "builtins.next" and first is not None and first.kind == "parameters":
        return first
    if not name.startswith(("torch.", "builtins.")):
        result = on_unknown(it)
        made = result.kind == "unknown" and result.target is None
        return replace(result, target=External(name)) if made else result
    return plain(it.given)


def _factory(it: Invocation, name: str) -> Value:
    flag = it.argument(99, "requires_grad")
    requires = flag.constant if flag is not None and isinstance(flag.constant, bool) else (None if flag else False)
    if requires:
        it.run.note_leaf(it.at)
    it.run.flow.used(it.given, "read", it.at, name)
    return Value("tensor", leaf=True, graph=False, requires_grad=requires, made_at=it.at)


def _wrapped(it: Invocation, name: str) -> Value:
    flag = it.argument(99, "requires_grad")
    requires = not (flag is not None and flag.constant is False)
    if name.endswith("Variable"):
        given = it.argument(0)
        if flag is None or flag.constant is not True:
            return given or UNKNOWN
        it.run.note_leaf(it.at)
    it.run.flow.used(it.given, "read", it.at, name)
    return Value("tensor", leaf=True, graph=False, requires_grad=requires, made_at=it.at)


def values_and_indices(it: Invocation) -> Value:
    """What ``max(dim)``, ``topk`` and ``sort`` give."""
    it.run.flow.used(it.carried, "read", it.at, "indices")
    return Value(origins=it.carried, items=(plain(it.carried), NUMBER))
