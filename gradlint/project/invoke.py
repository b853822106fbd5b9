"""The abstract run over calls: what a call gives, changes and does with what it is given."""

from dataclasses import replace
from typing import TYPE_CHECKING

from gradlint.model.code import Attribute, Call, Constant, Expression, Lambda, dotted
from gradlint.model.torch_calls import (
    BACKWARD_METHODS,
    DETACHING_METHODS,
    FACTORIES,
    FORWARD_METHODS,
    GRADIENT_FUNCTIONS,
    GRADIENT_NAMES,
    LOSS_LIKE,
    MODEL_NAME,
    MODULE_FACTORIES,
    MODULE_METHODS,
    MODULE_TUPLE_FACTORIES,
    OPTIMIZERS,
    READING_FUNCTIONS,
    READING_METHODS,
    READING_NAMES,
    SELF_RETURNING_MODULE_METHODS,
    TRIVIAL_MODULES,
    VALUES_AND_INDICES,
    WRAPPED_TENSORS,
)
from gradlint.model.torch_names import GUARDED_METHODS, MODULE_WRAPPERS
from gradlint.project import evaluate
from gradlint.project.effects import GRAD, apply
from gradlint.project.flow import CallEvent, Flow, Passed, is_bound, matched
from gradlint.project.nodes import ClassNode, External, FunctionNode
from gradlint.project.uses import UseKind
from gradlint.project.values import (
    NO_CONSTANT,
    NUMBER,
    UNKNOWN,
    Certainty,
    Origin,
    Value,
    meet,
    plain,
    without_graph,
)

if TYPE_CHECKING:
    from gradlint.project.interpret import Run

_CONTAINER_METHODS = frozenset(
    {"append", "extend", "add", "put", "insert", "appendleft", "push", "update", "setdefault"}
)
_FREEZING = ("freeze", "requires_grad", "set_grad", "toggle_grad")


class Invocation:
    """One call while it is being evaluated."""

    def __init__(self, node: Call, run: "Run") -> None:
        self.node = node
        self.run = run
        self.at = node.at
        self.receiver: Value | None = None
        self.receiver_path: str | None = None
        self.method = ""
        function = node.function
        if isinstance(function, Attribute):
            self.receiver = evaluate.value_of(function.value, run)
            self.receiver_path = dotted(function.value)
            self.method = function.name
        self.callee = evaluate.value_of(function, run)
        self.name = _spelt(function)
        self.arguments = tuple(_passed(argument, run) for argument in node.arguments)
        values = [argument.value for argument in self.arguments]
        self.given: frozenset[Origin] = (
            frozenset().union(*(v.origins for v in values)) if values else frozenset()
        )
        self.carried = self.given | (self.receiver.origins if self.receiver is not None else frozenset())
        self.targets: tuple[FunctionNode, ...] = ()
        self.forward = False

    def argument(self, index: int, keyword: str | None = None) -> Value | None:
        """A positional argument, or the keyword's."""
        for argument in self.arguments:
            if keyword is not None and argument.keyword == keyword:
                return argument.value
        plain_arguments = [a.value for a in self.arguments if a.keyword is None and not a.stars]
        return plain_arguments[index] if index < len(plain_arguments) else None

    def read(self, detail: str) -> Value:
        """The call only looks at what it is given."""
        self.run.flow.used(self.carried, "read", self.at, detail)
        return UNKNOWN

    def fresh(self, *more: frozenset[Origin]) -> Value:
        """A new value with a graph of its own, and what else goes into it."""
        origins = frozenset({Origin(self.run.function, self.at)}).union(*more)
        return Value(origins=origins, made_at=self.at)


def call(node: Call, run: "Run") -> Value:
    """Evaluate a call."""
    invocation = Invocation(node, run)
    result = _result(invocation)
    run.flow.calls[node.at] = CallEvent(
        node.at,
        invocation.name,
        invocation.receiver,
        invocation.callee,
        invocation.arguments,
        invocation.targets,
        result,
        invocation.forward,
        run.loops > 0,
        run.backward_seen,
    )
    if invocation.method in BACKWARD_METHODS:
        run.backward_seen = True
    return result


def _passed(argument: object, run: "Run") -> Passed:
    from gradlint.model.code import Argument

    assert isinstance(argument, Argument)
    return Passed(argument.keyword, argument.stars, evaluate.value_of(argument.value, run), argument.value)


def _spelt(function: Expression) -> str:
    name = dotted(function)
    if name is not None:
        return name
    return f"?.{function.name}" if isinstance(function, Attribute) else "?"


def _result(it: Invocation) -> Value:
    if it.method in BACKWARD_METHODS or it.method == "scale":
        return _trained(it)
    if it.receiver is not None and it.receiver.kind == "module":
        return _on_module(it)
    target = it.callee.target
    if it.callee.kind == "callable" and isinstance(target, External):
        return _on_external(it, target.name)
    targets = _targets(it)
    if targets:
        return _on_project(it, targets)
    if isinstance(target, ClassNode):
        return _instance(it, target)
    if it.callee.kind == "module":
        return _forward(it, it.callee)
    if it.receiver is not None and (result := _on_value(it, it.receiver)) is not None:
        return result
    return _on_unknown(it)


def _targets(it: Invocation) -> tuple[FunctionNode, ...]:
    target = it.callee.target if it.callee.kind == "callable" else None
    if isinstance(target, FunctionNode):
        overriding: list[FunctionNode] = []
        if it.receiver is not None and target.owner is not None:
            overriding = it.run.flows.calls.callees.get(it.run.function, {}).get(it.at, [])
        it.targets = tuple(
            dict.fromkeys([target, *(t for t in overriding if t.facts.name == target.facts.name)])
        )
    elif it.callee.kind in ("unknown", "self") and not isinstance(target, ClassNode):
        it.targets = tuple(it.run.flows.calls.callees.get(it.run.function, {}).get(it.at, ()))
        it.targets = tuple(
            t for t in it.targets if it.name and t.facts.name in (it.method, "__call__", "forward")
        )
    return it.targets


def _trained(it: Invocation) -> Value:
    if it.receiver is not None and it.receiver.kind == "module" and it.method == "scale":
        return plain(it.carried)
    it.run.flow.used(it.carried, "trained", it.at, it.method)
    return plain(it.carried) if it.method == "scale" else UNKNOWN


# Modules


def _on_module(it: Invocation) -> Value:
    module = it.receiver
    assert module is not None
    if it.method in SELF_RETURNING_MODULE_METHODS or it.method in MODULE_METHODS:
        return _module_method(it, module)
    if isinstance(module.target, ClassNode):
        targets = tuple(it.run.flows.calls.methods(module.target, it.method))
        if targets:
            it.targets = targets
            return _on_project(it, targets)
    if it.callee.kind == "module":
        return _forward(it, it.callee)
    if it.method in GUARDED_METHODS or not FORWARD_METHODS.search(it.method):
        return plain(it.given)
    return _forward(it, module)


def _module_method(it: Invocation, module: Value) -> Value:
    method, changed = it.method, module
    if method in ("eval", "train"):
        mode = it.argument(0, "mode")
        training = False if method == "eval" else None if mode and mode.constant is not False and (
            mode.constant is not True) else not (mode and mode.constant is False)  # fmt: skip
        changed = replace(
            module, training=training, mode_at=(it.run.function, it.at), certainty=_used(module)
        )
    elif method == "requires_grad_":
        flag = it.argument(0, "requires_grad")
        changed = replace(module, frozen=flag is not None and flag.constant is False, certainty=_used(module))
    elif method in ("parameters", "named_parameters", "buffers"):
        return Value("parameters", of=it.receiver_path, target=None)
    elif method in ("children", "modules", "named_children", "named_modules"):
        return Value("container")
    elif method not in SELF_RETURNING_MODULE_METHODS:
        return UNKNOWN
    if changed is not module:
        _change(it, module, changed)
    return changed


def _used(module: Value) -> Certainty:
    return "known" if module.certainty == "known" else "used"


def _change(it: Invocation, module: Value, changed: Value) -> None:
    """The module was changed in place: its name sees it, and so does every other name of it."""
    it.run.replace_everywhere(module, changed)
    path = it.receiver_path
    if path is not None:
        for known in [k for k in it.run.env if k.startswith(path + ".")]:
            if it.run.env[known].kind == "module":
                del it.run.env[known]
        it.run.env[path] = changed


def _forward(it: Invocation, module: Value) -> Value:
    name = module.target.name if isinstance(module.target, External) else ""
    if TRIVIAL_MODULES.search(name) or LOSS_LIKE.search(it.name) or (isinstance(module.target, ClassNode) and (
        LOSS_LIKE.search(module.target.name))):  # fmt: skip
        return plain(it.given)
    it.forward = True
    if isinstance(module.target, ClassNode):
        it.targets = tuple(it.run.flows.calls.methods(module.target, "__call__"))
        it.forward = any(runs_module(it, Flow(t)) for t in it.targets) if it.targets else True
    return it.fresh(it.given)


def runs_module(it: Invocation, flow: Flow) -> bool:
    """Whether a function, called with grad on, runs a forward unguarded and hands back something of its graph."""
    function, calls = flow.function, it.run.flows.calls
    if function.facts.name == "forward":
        return bool(apply(calls.effect_at(function, function.facts.at), GRAD) & GRAD)
    return any(
        event.forward
        and any(use.kind in ("returned", "yielded") for use in flow.uses.get(Origin(function, event.at), ()))
        and apply(calls.effect_at(function, event.at), GRAD) & GRAD
        for event in flow.calls.values()
    )


# Functions of the project


def _on_project(it: Invocation, targets: tuple[FunctionNode, ...]) -> Value:
    results = [_summary(it, target) for target in targets]
    found = results[0]
    for result in results[1:]:
        found = meet(found, result)
    return found


def _summary(it: Invocation, callee: FunctionNode) -> Value:
    flow = it.run.flows.flow(callee)
    if flow.gradient_at is not None:
        it.run.flow.used(it.given, "trained", it.at, callee.facts.name)
    event = CallEvent(it.at, it.name, it.receiver, it.callee, it.arguments, (), UNKNOWN, False, False, False)
    passed = matched(it.arguments, callee, bound=is_bound(event, callee) and it.receiver is not None)
    running = it.run.flows.is_running(callee)
    into: frozenset[Origin] = frozenset()
    for index, parameter in enumerate(callee.facts.parameters):
        value = passed.get(parameter.name)
        if value is None:
            continue
        uses = flow.uses.get(Origin(callee, -index - 1), ())
        kinds = {use.kind for use in uses}
        if running or kinds & {"returned", "yielded"}:
            into |= value.origins
        for use in uses:
            if use.kind not in ("returned", "yielded"):
                it.run.flow.used(value.origins, use.kind, it.at, use.detail or callee.facts.name)
        _change_argument(it, parameter.name, value, flow)
    _change_self(it, flow)
    if any(argument.stars for argument in it.arguments) or running:
        into |= it.given
    it.forward = it.forward or runs_module(it, flow)
    return _returned(it, flow, passed, into)


def _change_argument(it: Invocation, name: str, value: Value, flow: Flow) -> None:
    """A callee that puts its argument into evaluation mode, or freezes it, does so for the caller."""
    after = flow.env.get(name)
    if after is None or after.kind != "module" or (after.training is None and after.frozen is None):
        return
    argument = next((a for a in it.arguments if a.value is value), None)
    path = dotted(argument.expression) if argument is not None else None
    if path is None:
        return
    it.run.env[path] = replace(
        value, kind="module", training=after.training if after.training is not None else value.training,
        mode_at=after.mode_at or value.mode_at, frozen=after.frozen if after.frozen is not None else value.frozen,
        certainty=value.certainty or "used",
    )  # fmt: skip


def _change_self(it: Invocation, flow: Flow) -> None:
    if it.receiver is None or it.receiver.kind != "self":
        return
    for name, value in flow.env.items():
        if name.startswith("self.") and value.kind == "module" and value.mode_at is not None:
            it.run.env[name] = value
    after = flow.env.get("self")
    if after is not None and after.mode_at is not None:
        it.run.env["self"] = after


def _returned(it: Invocation, flow: Flow, passed: dict[str, Value], into: frozenset[Origin]) -> Value:
    result = flow.returns
    if result is None:
        return NUMBER if flow.env is not None and not flow.uses and not into else it.fresh(into)
    if result.parameter is not None and result.parameter in passed:
        given = passed[result.parameter]
        if result.kind == "module":
            return replace(
                result, origins=given.origins, parameter=given.parameter, target=result.target or given.target
            )
        return given
    if result.kind in ("module", "number", "none", "array", "callable", "optimizer", "parameters"):
        return replace(result, origins=frozenset(), parameter=None)
    items = None
    if result.items is not None:
        items = tuple(_returned_item(it, item, into) for item in result.items)
    if not result.origins and result.kind != "unknown" and not into:
        return replace(result, parameter=None, items=items)
    return replace(it.fresh(into), items=items)


def _returned_item(it: Invocation, item: Value, into: frozenset[Origin]) -> Value:
    if item.kind in ("module", "number", "none", "array", "callable", "optimizer"):
        return replace(item, origins=frozenset(), parameter=None)
    own = {origin for origin in item.origins if origin.at < 0}
    return it.fresh(into) if own or item.origins or item.kind == "unknown" else item


def _instance(it: Invocation, cls: ClassNode) -> Value:
    constructor = it.run.flows.linker.find_method(cls, "__init__")
    if constructor is not None:
        it.targets = (constructor,)
    if it.run.flows.calls.is_module_class(cls):
        return Value("module", target=cls, certainty="known")
    return Value("unknown", origins=it.given, target=cls)


# Outside the project


def _on_external(it: Invocation, name: str) -> Value:
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
    if MODULE_FACTORIES.search(name):
        return Value("module", target=External(name), certainty="known")
    if name in ("torch.load", "copy.deepcopy", "copy.copy"):
        return first if name != "torch.load" and first is not None else UNKNOWN
    last = name.rpartition(".")[2]
    if name.startswith("torch.") and last in VALUES_AND_INDICES and len(it.arguments) > 1:
        return _values_and_indices(it)
    if name == "torch.no_grad" or READING_FUNCTIONS.search(name):
        it.read(last)
        if name.startswith("numpy."):
            return Value("array")
        return NUMBER if name.startswith("builtins.") else UNKNOWN
    if name.startswith("torch.") and first is not None:
        return evaluate.computed([a.value for a in it.arguments], it.given, it.at, it.run)
    if name in (
        "builtins.zip",
        "builtins.enumerate",
        "builtins.reversed",
        "builtins.list",
        "builtins.iter",
        "tqdm.tqdm",
    ):
        return first if first is not None and first.kind in ("module", "parameters") else plain(it.given)
    if name in ("builtins.filter", "builtins.map") and len(it.arguments) > 1:
        second = it.arguments[1].value
        return second if second.kind == "parameters" else plain(it.carried)
    if name == "builtins.next" and first is not None and first.kind == "parameters":
        return first
    if not name.startswith(("torch.", "builtins.")):
        return _on_unknown(it)
    return plain(it.given)


def _factory(it: Invocation, name: str) -> Value:
    flag = it.argument(99, "requires_grad")
    requires = (
        flag.constant if flag is not None and isinstance(flag.constant, bool) else (None if flag else False)
    )
    if requires:
        it.run.note_gradient(it.at)
    it.run.flow.used(it.given, "read", it.at, name)
    return Value("tensor", leaf=True, graph=False, requires_grad=requires, made_at=it.at)


def _wrapped(it: Invocation, name: str) -> Value:
    flag = it.argument(99, "requires_grad")
    requires = not (flag is not None and flag.constant is False)
    if name.endswith("Variable"):
        given = it.argument(0)
        if flag is None or flag.constant is not True:
            return given or UNKNOWN
        it.run.note_gradient(it.at)
    it.run.flow.used(it.given, "read", it.at, name)
    return Value("tensor", leaf=True, graph=False, requires_grad=requires, made_at=it.at)


def _values_and_indices(it: Invocation) -> Value:
    it.run.flow.used(it.carried, "read", it.at, "indices")
    return Value(origins=it.carried, items=(plain(it.carried), NUMBER))


# Methods of tensors and of what might be one


def _on_value(it: Invocation, owner: Value) -> Value | None:
    method = it.method
    if owner.kind == "parameters":
        if method == "requires_grad_":
            flag = it.argument(0, "requires_grad")
            it.run.mark_frozen(owner.of, flag is not None and flag.constant is False)
        return owner
    if owner.kind == "self" and method in ("eval", "train"):
        mode = it.argument(0)
        training = (
            None if mode is not None and mode.constant is not False else method == "train" and mode is None
        )
        it.run.env["self"] = replace(owner, training=training, mode_at=(it.run.function, it.at))
        for key in [k for k, v in it.run.env.items() if k.startswith("self.") and v.kind == "module"]:
            it.run.env[key] = replace(it.run.env[key], training=training, mode_at=(it.run.function, it.at))
        return owner
    if owner.kind in ("array", "number"):
        return owner
    if method in MODULE_METHODS and not (method in ("eval", "train") and it.arguments and method == "eval"):
        return _becomes_module(it, owner)
    if method in READING_METHODS:
        it.read(method)
        return NUMBER
    if method in DETACHING_METHODS:
        it.run.flow.used(owner.origins, "read", it.at, method)
        return Value("array") if method in ("numpy", "__array__") else without_graph(owner, method, it.at)
    if method in ("requires_grad_", "retain_grad"):
        return _flagged(it, owner)
    if method in VALUES_AND_INDICES and it.arguments and owner.origins:
        return _values_and_indices(it)
    if (
        method in _CONTAINER_METHODS
        and it.receiver_path is not None
        and owner.kind in ("container", "unknown", "none")
    ):
        return _collected(it, owner)
    if owner.kind == "tensor":
        if (
            method in ("to", "cuda", "cpu", "float", "double", "half", "type", "contiguous")
            and not owner.requires_grad
        ):
            return owner
        return evaluate.computed([owner, *(a.value for a in it.arguments)], it.carried, it.at, it.run)
    return None


def _becomes_module(it: Invocation, owner: Value) -> Value:
    """Something on which ``.eval()`` or ``.parameters()`` is called is a module."""
    module = replace(owner, kind="module", certainty="used", origins=frozenset())
    path = it.receiver_path
    if path is not None:
        it.run.replace_everywhere(owner, module)
        it.run.env[path] = module
    it.receiver = module
    return _module_method(it, module)


def _flagged(it: Invocation, owner: Value) -> Value:
    path = it.receiver_path
    changed = owner
    if it.method == "retain_grad":
        changed = replace(owner, retained=True)
    else:
        flag = it.argument(0, "requires_grad")
        wanted = True if flag is None else flag.constant if isinstance(flag.constant, bool) else None
        if wanted is not False:
            it.run.note_gradient(it.at)
        if owner.graph is not True:
            changed = replace(owner, requires_grad=wanted, leaf=owner.leaf)
    if path is not None:
        it.run.env[path] = changed
    return changed


def _collected(it: Invocation, owner: Value) -> Value:
    if not it.given:
        return UNKNOWN
    path = it.receiver_path
    assert path is not None
    known = it.run.env.get(path)
    local = path in it.run.function.facts.local and known is not None and known.parameter is None
    if local and it.method != "update":
        it.run.hold(path, owner, plain(it.given), it.at)
    elif local and owner.kind == "container":
        it.run.hold(path, owner, plain(it.given), it.at)
    elif READING_NAMES.search(path.rpartition(".")[2]):
        it.read(path)
    else:
        kind: UseKind = "stored" if it.method != "update" else "escaped"
        it.run.flow.used(it.given, kind, it.at, path)
    return UNKNOWN


def _on_unknown(it: Invocation) -> Value:
    last = it.method or it.name
    if any(word in last.lower() for word in _FREEZING):
        _frozen_by_name(it)
    if GRADIENT_NAMES.search(last):
        it.run.note_gradient(it.at)
        it.run.flow.used(it.given, "trained", it.at, last)
        return plain(it.carried)
    if it.given and (
        READING_NAMES.search(last) or (it.receiver_path and READING_NAMES.search(_last(it.receiver_path)))
    ):
        return it.read(last)
    if it.receiver is None and isinstance(it.node.function, Lambda):
        return plain(it.given)
    if it.callee.kind != "callable" and _looks_like_model(it):
        return _forward(it, replace(it.callee, kind="module", certainty="named"))
    if it.receiver is not None and it.callee.kind != "callable" and it.receiver_path is not None:
        owner_name = _last(it.receiver_path)
        if (
            MODEL_NAME.search(owner_name)
            and FORWARD_METHODS.search(it.method)
            and it.method not in GUARDED_METHODS
        ):
            return _forward(it, replace(it.receiver, kind="module", certainty="named"))
    return plain(it.carried)


def _frozen_by_name(it: Invocation) -> None:
    """``freeze(model)``, ``set_requires_grad(net, False)``: what it does is in its name."""
    if any(a.value.constant is True for a in it.arguments):
        return
    for argument in it.arguments:
        path = dotted(argument.expression)
        if (
            path is not None
            and argument.value.kind in ("module", "unknown")
            and argument.value.constant is NO_CONSTANT
        ):
            it.run.mark_frozen(path, True)


def _looks_like_model(it: Invocation) -> bool:
    name = it.name
    if name.startswith("?") or not it.arguments:
        return False
    last = _last(name)
    models = it.run.flows.models
    return bool(MODEL_NAME.search(last)) or name in models or last in models


def _last(name: str) -> str:
    return name.rpartition(".")[2]


_ = Constant
