"""The abstract run over methods of tensors and of what might be one."""

from dataclasses import replace

from gradlint.model.torch_calls import (
    DETACHING_METHODS,
    INTEGER_TYPES,
    MODULE_METHODS,
    READING_METHODS,
    READING_NAMES,
    VALUES_AND_INDICES,
)
from gradlint.project import evaluate
from gradlint.project.invocation import Invocation
from gradlint.project.invoke_external import values_and_indices
from gradlint.project.invoke_module import module_method, training_after
from gradlint.project.nodes import External
from gradlint.project.uses import UseKind
from gradlint.project.values import NUMBER, UNKNOWN, Value, plain, without_graph

_CONTAINER_METHODS = frozenset(
    {"append", "extend", "add", "put", "insert", "appendleft", "push", "update", "setdefault"}
)


def on_value(it: Invocation, owner: Value) -> Value | None:
    """A method of a value; None when nothing is known of it."""
    method = it.method
    if owner.kind == "parameters":
        if method == "requires_grad_":
            flag = it.argument(0, "requires_grad")
            it.run.mark_frozen(owner.of, flag is not None and flag.constant is False)
        return owner
    if owner.kind == "self" and method in ("eval", "train"):
        training = training_after(it)
        it.run.env["self"] = replace(owner, training=training, mode_at=(it.run.function, it.at))
        for key in [k for k, v in it.run.env.items() if k.startswith("self.") and v.kind == "module"]:
            it.run.env[key] = replace(it.run.env[key], training=training, mode_at=(it.run.function, it.at))
        return owner
    if owner.kind in ("array", "number"):
        return owner
    if method in MODULE_METHODS and not (method in ("eval", "train") and it.arguments and method == "eval"):
        return _becomes_module(it, owner)
    if method in READING_METHODS or _to_integers(it):
        it.read(method)
        it.run.flow.used(owner.shadow, "read", it.at, method)
        return NUMBER
    if method in DETACHING_METHODS:
        it.run.flow.used(owner.origins, "read", it.at, method)
        if method == "numpy":
            it.run.flow.used(owner.shadow, "read", it.at, "detach().numpy")
        return Value("array") if method in ("numpy", "__array__") else without_graph(owner, method, it.at)
    if method in ("requires_grad_", "retain_grad"):
        return _flagged(it, owner)
    if method in VALUES_AND_INDICES and it.arguments and owner.origins:
        return values_and_indices(it)
    if (
        method in _CONTAINER_METHODS
        and it.container_path is not None
        and owner.kind in ("container", "unknown", "none")
    ):
        return _collected(it, owner)
    if owner.kind == "tensor":
        if method in ("to", "cuda", "cpu", "float", "double", "half", "type", "contiguous") and not owner.requires_grad:
            return owner
        return evaluate.computed([owner, *(a.value for a in it.arguments)], it.carried, it.at, it.run)
    return None


def _to_integers(it: Invocation) -> bool:
    """``.to(torch.uint8)``: integers carry no graph."""
    first = it.argument(0, "dtype")
    kind = first.target if first is not None and it.method in ("to", "type") else None
    return isinstance(kind, External) and kind.name in INTEGER_TYPES


def _becomes_module(it: Invocation, owner: Value) -> Value:
    """Something on which ``.eval()`` or ``.parameters()`` is called is a module."""
    module = replace(owner, kind="module", certainty="used", origins=frozenset())
    path = it.receiver_path
    if path is not None:
        it.run.replace_everywhere(owner, module)
        it.run.env[path] = module
    it.receiver = module
    return module_method(it, module)


def _flagged(it: Invocation, owner: Value) -> Value:
    path = it.receiver_path
    changed = owner
    if it.method == "retain_grad":
        changed = replace(owner, retained=True)
    else:
        flag = it.argument(0, "requires_grad")
        wanted = True if flag is None else flag.constant if isinstance(flag.constant, bool) else None
        if wanted is not False:
            it.run.note_leaf(it.at)
        if owner.graph is not True:
            changed = replace(owner, requires_grad=wanted, leaf=owner.leaf)
    if path is not None:
        it.run.env[path] = changed
    return changed


def _collected(it: Invocation, owner: Value) -> Value:
    if not it.given:
        return UNKNOWN
    path = it.container_path
    assert path is not None
    known = it.run.env.get(path)
    local = path in it.run.function.facts.local and known is not None and known.parameter is None
    if (local and it.method != "update") or (local and owner.kind == "container"):
        it.run.hold(path, owner, plain(it.given), it.at)
    elif READING_NAMES.search(path.rpartition(".")[2]):
        it.read(path)
    else:
        kind: UseKind = "stored" if it.method != "update" else "escaped"
        it.run.flow.used(it.given, kind, it.at, path)
    return UNKNOWN
