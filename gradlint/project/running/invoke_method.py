"""The abstract run over methods of tensors and of what might be one."""

import re

from gradlint.model.code import Attribute, Call, Name, Subscript, dotted
from gradlint.model.record import replace
from gradlint.model.torch_calls import (
    ALWAYS_BOTH,
    CONTAINER_METHODS,
    DETACHING_METHODS,
    DISTRIBUTIONS,
    DRAWING,
    INTEGER_TYPES,
    MODEL_NAME,
    MODULE_METHODS,
    OPTIMIZER_NAME,
    READING_METHODS,
    READING_NAMES,
    SELF_RETURNING_MODULE_METHODS,
    VALUES_AND_INDICES,
)
from gradlint.model.torch_tensors import (
    ADDING_IN_PLACE,
    COMPUTING,
    CONVERTING,
    IN_PLACE,
    INDEXING,
    INDEXING_ANYTHING,
    KEEPING,
    MAKING,
    OTHER_FLOATS,
    PICKING,
    RESHAPING,
    VIEWING,
)
from gradlint.project.linking.nodes import ClassNode, External
from gradlint.project.running import assignments, growth, instances, tensors
from gradlint.project.running.handing_back import is_guarded
from gradlint.project.running.invocation import Invocation
from gradlint.project.running.invoke_external import made_of_data, values_and_indices
from gradlint.project.running.invoke_module import is_loaded, module_method, training_after
from gradlint.project.running.sets import ALONE, NOTHING, joined, together
from gradlint.project.running.uses import UseKind
from gradlint.project.running.values import (
    NEVER,
    NUMBER,
    PLAIN,
    UNKNOWN,
    Loss,
    Origin,
    Value,
    is_distribution,
    is_pickled,
    plain,
    without_graph,
)

_TENSORS_ONLY = frozenset("clone detach view reshape unsqueeze squeeze repeat expand permute contiguous".split())
_MAKING_TENSORS = frozenset({"as_tensor", "from_numpy"})  # whoever has them: ``backend.torch.as_tensor(x)``
_CONTAINERS = frozenset({"deque", "defaultdict", "OrderedDict", "list", "Queue", "SimpleQueue", "Counter"})
_TRAINER = re.compile(r"([a-z]T|(^|[._])[tT])rainer$")  # of other libraries: their ``train()`` trains
_OF_DRAWS = frozenset({"log_prob", "entropy"})  # of a distribution: tensors, with its graph
_OF_BOTH = frozenset({"zero_grad", "state_dict", "load_state_dict"})  # of modules and of optimizers


def on_value(it: Invocation, owner: Value) -> Value | None:
    """A method of a value; None when nothing is known of it."""
    method = it.method
    if owner.kind == "parameters":
        if method == "requires_grad_":
            flag = it.argument(0, "requires_grad")
            it.run.mark_frozen(owner.of, flag is not None and flag.constant is False)
        elif method == "detach":
            return without_graph(owner, Loss(method, it.run.function.place(it.at)))
        elif method == "detach_":
            it.run.mark_frozen(owner.of, True)
        elif method in IN_PLACE:
            it.run.note_change(it.at, method, it.receiver_path, owner)
        return owner
    if owner.kind == "self" and method in ("eval", "train"):
        training = training_after(it)
        it.run.env["self"] = replace(owner, training=training, mode_at=(it.run.function, it.at))
        for key in [k for k, v in it.run.env.items() if k.startswith("self.") and v.kind == "module"]:
            it.run.env[key] = replace(it.run.env[key], training=training, mode_at=(it.run.function, it.at))
        return owner
    if owner.kind in ("array", "number"):
        return owner
    if owner.kind == "optimizer" and method in ("zero_grad", "state_dict", "load_state_dict"):
        return UNKNOWN
    if method == "requires_grad_" and _is_no_module(it, owner):
        return _flagged(it, owner)
    if method in _OF_BOTH and OPTIMIZER_NAME.search(it.receiver_path or ""):
        return UNKNOWN
    if method in ("eval", "train"):
        _switch_all(it)
    if method in MODULE_METHODS and _may_be_a_modules(it, owner):
        return _becomes_module(it, owner)
    if method in ("values", "items") and owner.items and all(item.kind == "module" for item in owner.items):
        named = Value("container", items=(NUMBER, owner.items[0]))
        return owner if method == "values" else replace(owner, items=(named,))
    if method in ("values", "items") and (instance := instances.held_in(owner)) is not None:
        named = Value("container", items=(NUMBER, instance))
        return Value("container", items=(instance if method == "values" else named,))
    if is_distribution(owner) or _is_used_as_distribution(it, owner):
        return _of_distribution(it, owner)
    if method in READING_METHODS or _to_integers(it):
        return _read(it, owner)
    if method in DETACHING_METHODS:
        return _detached(it, owner)
    if method == "retain_grad":
        return _flagged(it, owner)
    both = method in VALUES_AND_INDICES and (it.arguments or (method in ALWAYS_BOTH and owner.kind != "container"))
    if both and (owner.origins or owner.kind == "tensor"):
        return values_and_indices(it, owner)
    collects = method in CONTAINER_METHODS and (method != "add" or len(it.arguments) == 1)  # not ``skip.add(x, y)``
    if collects and it.container_path is not None and owner.kind in ("container", "unknown", "none"):
        return _collected(it, owner)
    if owner.is_tensor:
        return of_tensor(it, owner)
    if owner.kind == "unknown" and (own := _grown(it, owner)):
        path = _changed_path(it.node)
        if path in it.run.env:
            it.run.env[path] = replace(it.run.env[path], origins=joined(it.run.env[path].origins, it.given | own))
        return None
    if (is_loaded(owner) or is_pickled(owner)) and method in SELF_RETURNING_MODULE_METHODS:
        return owner
    return None


def _is_used_as_distribution(it: Invocation, owner: Value) -> bool:
    """Whether a function asks something unknown that a model has made for the probability of what is drawn of it."""
    path = it.receiver_path
    if owner.kind != "unknown" or not owner.origins or path is None or it.method not in DRAWING | _OF_DRAWS:
        return False
    if all(call.callee != f"{path}.log_prob" for call in it.run.function.facts.calls):
        return False
    return it.method not in DRAWING or not _may_draw_with_graph(it)


def _may_draw_with_graph(it: Invocation) -> bool:
    """Whether it is no method of torch's that draws: the project has a distribution with one of its own, unguarded."""
    if any(argument.keyword not in (None, "sample_shape", "n") for argument in it.arguments):
        return True
    flows = it.run.flows
    return any(
        isinstance(base, External) and DISTRIBUTIONS.search(base.name) and not is_guarded(flows.calls, method)
        for method in flows.linker.methods_named.get(it.method, ())
        if method.owner is not None
        for base in flows.linker.ancestors(method.owner)
    )


def _of_distribution(it: Invocation, owner: Value) -> Value:
    if it.method == "expand":
        return owner
    if it.method not in DRAWING:
        result = plain(it.carried)
        return replace(result, kind="tensor", made_at=it.at) if it.method in _OF_DRAWS and it.carried else result
    it.read(it.method)
    return tensors.index(it.method, owner.traces, it.at, it.run)


def _may_be_a_modules(it: Invocation, owner: Value) -> bool:
    """Whether a method is that of a module, by its owner and arguments: ``trainer.train(resume=True)`` is another."""
    if isinstance(owner.target, ClassNode) and not it.run.flows.calls.modules.is_module_class(owner.target):
        return False
    if it.method == "train":
        foreign = owner.target.name if isinstance(owner.target, External) else it.receiver_path or ""
        return not _TRAINER.search(foreign) and all(argument.keyword in (None, "mode") for argument in it.arguments)
    return it.method != "eval" or not it.arguments


def _is_no_module(it: Invocation, owner: Value) -> bool:
    """Whether ``x.requires_grad_()`` asks for the gradient of a tensor: a module is rather told not to have one."""
    if owner.is_tensor:
        return True
    path, flag = it.receiver_path, it.argument(0, "requires_grad")
    if path is None and _is_of_tensor(it.node) and (flag is None or flag.constant is True):
        return True  # ``image.clone().requires_grad_()``
    named = path is None or not path.isidentifier() or MODEL_NAME.search(path) is not None
    return owner.kind == "unknown" and not named and (flag is None or flag.constant is True)


def _is_of_tensor(call: Call) -> bool:
    """Whether a method is called on the result of one that only tensors have, or of what makes nothing else."""
    match call.function:
        case Attribute(value=Call(function=Attribute(name=name))):
            return name in _TENSORS_ONLY or name in _MAKING_TENSORS
        case _:
            return False


def _read(it: Invocation, owner: Value) -> Value:
    """A method that looks at a tensor: a number, or integers and booleans, come of it."""
    method = it.method
    it.read(method)
    it.run.flow.used(owner.shadow, "read", it.at, method)
    lost = Loss(method, it.run.function.place(it.at))
    if method in ("item", "tolist"):
        return replace(NUMBER, lost=lost, shadow=owner.traces)
    if method in INDEXING and (owner.is_tensor or method in INDEXING_ANYTHING):
        return tensors.index(method, owner.traces, it.at, it.run)
    if method in COMPUTING and owner.is_tensor:  # ``sign()``: of use to nobody, but recorded
        return replace(of_tensor(it, owner), origins=NOTHING)
    return NUMBER


def _detached(it: Invocation, owner: Value) -> Value:
    method, lost = it.method, Loss(it.method, it.run.function.place(it.at))
    it.run.flow.used(owner.origins, "read", it.at, method)
    if method == "numpy":
        it.run.flow.used(owner.shadow, "read", it.at, "detach().numpy")
    if method in ("numpy", "__array__"):
        return Value("array", lost=lost, shadow=owner.traces)
    result = without_graph(owner, lost)
    if method == "detach_":
        it.run.change(it.receiver_path, owner, result)
        if it.receiver_path is None and it.container_path in it.run.env:  # ``hidden[0].detach_()``
            it.run.env[it.container_path] = replace(it.run.env[it.container_path], origins=NOTHING)
    return replace(result, born=it.run.epoch)


def of_tensor(it: Invocation, owner: Value) -> Value:
    """What a method of a tensor gives."""
    method, at, run = it.method, it.at, it.run
    values = [owner, *(argument.value for argument in it.arguments)]
    if method in PICKING:
        values = tensors.picked(values)
    if method in COMPUTING:
        return tensors.computed(values, it.carried, at, run, dtype=it.has("dtype"))
    if method in VIEWING or method == "view":
        view = tensors.viewed(owner, at, run)
        may_convert = method == "view" and any(value.kind not in ("number", "container") for value in values[1:])
        return replace(view, tensor=view.tensor | PLAIN) if may_convert else view
    if method in OTHER_FLOATS and owner.default_float:
        return tensors.computed((owner,), owner.origins, at, run)
    if method in RESHAPING:
        return tensors.either(tensors.viewed(owner, at, run), tensors.computed((owner,), owner.origins, at, run))
    if method in KEEPING:
        return tensors.kept(owner, at, run, may_convert=method in CONVERTING and bool(it.arguments))
    if method in MAKING:
        return made_of_data(it, f"torch.Tensor.{method}")
    if method.endswith("_") and not method.startswith("_"):
        return _in_place(it, owner)
    if method in VALUES_AND_INDICES:  # without arguments: ``x.max()``
        return tensors.computed(values, it.carried, at, run)
    return plain(it.carried)


def _in_place(it: Invocation, owner: Value) -> Value:
    if it.method in ("share_memory_", "squeeze_", "unsqueeze_", "transpose_", "t_"):
        return owner
    if it.method in IN_PLACE:
        it.run.note_change(it.at, it.method, it.receiver_path, owner)
    after = tensors.changed(owner, [argument.value for argument in it.arguments], it.at, it.run)
    if own := _grown(it, owner):
        after = replace(after, origins=after.origins | own)
    it.run.change(it.receiver_path, owner, after)
    return after


def _grown(it: Invocation, owner: Value) -> frozenset[Origin]:
    """What is added in place to what goes on from round to round, as ``+=`` adds it."""
    path = _changed_path(it.node) if it.method in ADDING_IN_PLACE and it.arguments else None
    if path is None:
        return NOTHING
    added = it.arguments[0]
    return growth.grown(it.run, "sum", path, owner, added.value, added.expression, it.at)


def _changed_path(call: Call) -> str | None:
    """The dotted name of what methods change in place, one after the other: ``total.mul_(0.9).add_(loss)``.

    Of an item it is that of what holds it: ``totals["loss"].add_(loss)``.
    """
    match call.function:
        case Attribute(value=Call(function=Attribute(name=name)) as inner) if name in IN_PLACE:
            return _changed_path(inner)
        case Attribute(value=owner):
            return dotted(owner.value if isinstance(owner, Subscript) else owner)
        case _:
            return None


def _to_integers(it: Invocation) -> bool:
    """``.to(torch.uint8)``: integers carry no graph."""
    first = it.argument(0, "dtype")
    kind = first.target if first is not None and it.method in ("to", "type") else None
    return isinstance(kind, External) and kind.name in INTEGER_TYPES


def _becomes_module(it: Invocation, owner: Value) -> Value:
    """Something on which ``.eval()`` or ``.parameters()`` is called is a module."""
    if it.method == "requires_grad_":  # or a tensor after all
        it.run.effects.changes = True
        it.run.touch_views(owner, flags=True)
    module = replace(owner, kind="module", certainty="used", origins=NOTHING)
    path = it.receiver_path
    if path is not None:
        it.run.replace_everywhere(owner, module)
        it.run.env[path] = module
    it.receiver = module
    return module_method(it, module)


def _switch_all(it: Invocation) -> None:
    """``[nets[key].eval() for key in nets]``: whatever was known of the mode of one of them is so no longer."""
    function = it.node.function
    held = function.value if isinstance(function, Attribute) else None
    path = dotted(held.value) if isinstance(held, Subscript) and isinstance(held.index, Name) else None
    for key in [k for k, v in it.run.env.items() if path and k.startswith(path + ".") and v.kind == "module"]:
        it.run.env[key] = replace(it.run.env[key], training=training_after(it), mode_at=(it.run.function, it.at))


def _flagged(it: Invocation, owner: Value) -> Value:
    if it.method == "retain_grad":
        it.run.effects.retains |= owner.born is None
        it.run.touch_views(owner, flags=False)
        changed = replace(owner, retained=it.run.epoch if owner.retained == NEVER else owner.retained)
    else:
        flag = it.argument(0, "requires_grad")
        wanted = True if flag is None else flag.constant if isinstance(flag.constant, bool) else None
        if wanted is not False:
            it.run.note_leaf(it.at)
        changed = tensors.flagged(tensors.new_copy(owner, it.run), wanted)
    it.run.change(it.receiver_path, owner, changed)
    return changed


def cloned(it: Invocation, result: Value) -> Value:
    """What ``x.clone()`` gives of something unknown: a copy of its own, if no class of the project clones."""
    if result.kind != "unknown" or it.arguments or it.run.flows.linker.methods_named.get("clone", ()):
        return result
    return replace(result, parameter=None, made_at=it.at, memory=ALONE[it.at], own_memory=True)


def _collected(it: Invocation, owner: Value) -> Value:
    path = it.container_path
    assert path is not None
    memory = together(argument.value.memory for argument in it.arguments)
    if not it.given:
        if owner.kind == "container" and path in it.run.env:
            changed = replace(owner, items=None, memory=joined(owner.memory, memory))
            it.run.replace_everywhere(owner, changed)
            it.run.env[path] = changed
        return UNKNOWN
    known = it.run.env.get(path)
    if isinstance(owner.target, External) and owner.target.name.rpartition(".")[2] not in _CONTAINERS:
        it.run.flow.used(it.given, "stored", it.at, path)  # a meter of some library, which knows what to keep
        return UNKNOWN
    if it.method not in ("update", "setdefault"):
        value = it.arguments[-1]
        own = growth.grown(it.run, "container", path, known or owner, value.value, value.expression, it.at)
        it.given |= own
    local = path in it.run.function.facts.local and known is not None and known.parameter is None
    if (local and it.method != "update") or (local and owner.kind == "container"):
        assignments.hold(it.run, path, owner, plain(it.given, memory), it.at)
    elif READING_NAMES.search(path.rpartition(".")[2]) and not it.run.flows.may_train_on(it.run.function, path):
        it.read(path)
    else:
        kind: UseKind = "stored" if it.method != "update" else "escaped"
        it.run.flow.used(it.given, kind, it.at, path)
    return UNKNOWN
