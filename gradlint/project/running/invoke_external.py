"""The abstract run over calls of functions outside the project: torch, builtins, other libraries."""

import re

from gradlint.model.code import Constant, Expression, Operation, dotted
from gradlint.model.record import replace
from gradlint.model.torch_calls import (
    ALWAYS_BOTH,
    DISTRIBUTION,
    DISTRIBUTIONS,
    FACTORIES,
    GRADIENT_FUNCTIONS,
    GUARDED_HUBS,
    MODULE_CONTAINERS,
    MODULE_FACTORIES,
    MODULE_TUPLE_FACTORIES,
    NOT_A_MODULE,
    OPTIMIZERS,
    PACKED,
    PACKING,
    PARAMETER_FREE,
    PLAIN_NORMS,
    READING_FUNCTIONS,
    VALUES_AND_INDICES,
    WRAPPED_TENSORS,
)
from gradlint.model.torch_names import MODULE_WRAPPERS
from gradlint.model.torch_tensors import (
    BLANK_FACTORIES,
    COMPUTING,
    COPYING_FACTORIES,
    DEFAULT_FLOATS,
    INDEXING,
    KEEPING,
    PICKING,
    RESHAPING,
    UNCLEAR_FUNCTIONALS,
    VIEWING,
)
from gradlint.model.traverse import is_made_list, within
from gradlint.project.linking.nodes import ClassNode, External, FunctionNode
from gradlint.project.running import evaluate, instances, tensors
from gradlint.project.running.invocation import Invocation, last_part
from gradlint.project.running.invoke_unknown import on_unknown
from gradlint.project.running.sets import ALONE, together
from gradlint.project.running.values import ANY, LEAF, NONE, NUMBER, PLAIN, UNKNOWN, Loss, Value, plain, without_graph

_DIMENSION = re.compile(r"(^|[._])(n?dims?|axis|axes|index|idx|rank)$", re.I)
_OF_VECTORS = re.compile(r"^torch\.nn\.(\w+\.)*Embedding(Bag)?\.from_pretrained$")  # frozen, unless told otherwise
_NUMBERS = frozenset({"builtins.float", "builtins.int", "builtins.bool"})
_SETTINGS = frozenset("device dtype generator layout pin_memory requires_grad".split())  # of what is made
_BOTH_PYTHONS = ("six.moves.", "future.builtins.", "past.builtins.")  # builtins for code that ran on Python 2 as well
_ALGEBRA = frozenset({"torch.linalg", "torch.fft", "torch.special"})


def on_external(it: Invocation, name: str) -> Value:
    """A call of something outside the project, by its full name."""
    if name.startswith(_BOTH_PYTHONS):
        name = f"builtins.{last_part(name)}"
    if GRADIENT_FUNCTIONS.search(name):
        if "clip_grad" not in name:
            it.run.note_gradient(it.at)
            it.run.flow.used(it.given, "trained", it.at, name)
        if name == "torch.autograd.grad" and _wants_no_graph(it):
            return Value(tensor=PLAIN, lost=Loss("autograd.grad", it.run.function.place(it.at)))
        return plain(it.given)
    if name in FACTORIES:
        return _factory(it, name)
    if name in ("builtins.getattr", "builtins.hasattr"):
        return _asked_for_attribute(it, name)
    if name == "builtins.setattr":
        return _set_attribute(it)
    if name in WRAPPED_TENSORS:
        return _wrapped(it, name)
    if OPTIMIZERS.search(name):
        given = it.argument(0, "params")
        return Value("optimizer", of=given.of if given is not None and given.kind == "parameters" else None)
    if MODULE_TUPLE_FACTORIES.search(name):
        module = Value("module", target=External(name), certainty="known")
        return Value("container", items=(module, UNKNOWN, UNKNOWN))
    if (first := it.argument(0)) is not None and name.rpartition(".")[2] in MODULE_WRAPPERS:
        return first if first.kind == "module" else Value(parameter=first.parameter, made_at=it.at)
    if NOT_A_MODULE.search(name):
        return Value("callable", target=External(f"{name}.instance"))
    if name == "torch.hub.load" and first is not None and GUARDED_HUBS.search(str(first.constant)):
        return Value("callable", target=External("ultralytics.YOLO.instance"))
    if _OF_VECTORS.search(name):
        frozen = (flag := it.argument(1, "freeze")) is None or flag.constant is not False
        kind = External(name.removesuffix(".from_pretrained"))
        return Value("module", target=kind, certainty="known", born=it.run.epoch, frozen=frozen or None)
    if MODULE_FACTORIES.search(name):
        parts = _parts(it) if MODULE_CONTAINERS.search(name) else None
        known = Value("module", target=External(name), certainty="known", born=it.run.epoch, frozen=_is_bare(it, name))
        return replace(known, items=parts)
    if name == "builtins.getattr" and first is not None and first.kind == "callable":
        return Value("callable", target=External("?.attribute"))
    if name in ("torch.load", "copy.deepcopy", "copy.copy"):
        return _copied(it, first) if name != "torch.load" and first is not None else Value(target=External(name))
    if DISTRIBUTIONS.search(name):
        return Value(origins=it.given, target=External(DISTRIBUTION), memory=it.memory)
    if PACKING.search(name):
        return Value(origins=it.given, target=External(PACKED), memory=it.memory)
    last = name.rpartition(".")[2]
    both = last in VALUES_AND_INDICES and (len(it.arguments) > 1 or last in ALWAYS_BOTH)
    if first and name.startswith("torch.") and both:
        return values_and_indices(it, first)
    if name == "torch.no_grad" or READING_FUNCTIONS.search(name):
        return _looked_at(it, name)
    if name.startswith("torch.") and first is not None:
        return _function_of_torch(it, name, first)
    if name == "builtins.sum" and first is not None and first.items:
        return _sum(it, first.items)
    if name in ("builtins.zip", "builtins.enumerate"):
        return _side_by_side(it, name)
    if name in (
        "builtins.reversed",
        "builtins.list",
        "builtins.iter",
    ) or last in ("tqdm", "track", "islice", "cycle", "chain", "progress_bar"):
        if first is not None and _lists_modules(first):
            return first
        return _all_of(it, first) if first is not None and first.kind in ("module", "parameters") else plain(it.given)
    if name in ("builtins.filter", "builtins.map") and len(it.arguments) > 1:
        second = it.arguments[1].value
        if first is None or not isinstance(first.target, External):
            it.run.touch((second,), flags=True, retained=True)  # ``map(lambda x: x.requires_grad_(), images)``
        return second if second.kind == "parameters" else plain(it.carried)
    if name == "builtins.next" and first is not None:
        it.run.take_apart(first)  # it is no tensor
    if name == "builtins.next" and first is not None and first.kind == "parameters":
        return first
    if name == "functools.partial" and first is not None and _fixes_names_only(it, first):
        return Value("callable", target=first.target)
    if name == "collections.defaultdict" and (cls := _made_for_missing(it)) is not None:
        return Value("container", target=cls)
    if not name.startswith(("torch.", "builtins.")):
        result = on_unknown(it)
        made = result.kind == "unknown" and result.target is None
        return replace(result, target=External(name)) if made else result
    return plain(it.given)


def _wants_no_graph(it: Invocation) -> bool:
    """Whether ``autograd.grad`` is not asked for a graph of the derivative: ``create_graph`` is the fifth argument."""
    wanted = it.argument(4, "create_graph")
    if wanted is None:
        return not any(argument.stars for argument in it.arguments)
    return wanted.constant is False


def _fixes_names_only(it: Invocation, first: Value) -> bool:
    """``partial(solve, steps=4)`` of a function of the project: it is called like the function itself."""
    positional = [argument for argument in it.arguments if argument.keyword is None]
    return isinstance(first.target, FunctionNode) and len(positional) == 1


def _made_for_missing(it: Invocation) -> ClassNode | None:
    """The class of what ``defaultdict(Meter)`` or ``defaultdict(lambda: Meter(20))`` makes for a missing key."""
    first = it.argument(0)
    target = first.target if first is not None and first.kind == "callable" else None
    if isinstance(target, FunctionNode) and not it.run.flows.is_running(target):
        returned = it.run.flows.outline(target).returns
        return instances.class_of(returned) if returned is not None else None
    return target if isinstance(target, ClassNode) else None


def _sum(it: Invocation, items: tuple[Value, ...]) -> Value:
    """``sum(losses)`` of what is known: a number if all are, else a tensor if one is."""
    values = (*items, *(argument.value for argument in it.arguments[1:]))
    if all(value.kind == "number" for value in values):
        return replace(NUMBER, lost=next((value.lost for value in values if value.lost), None))
    return tensors.operated(values, it.given, it.at, it.run)


def _lists_modules(value: Value) -> bool:
    """``list(model.children())[:3]``: they stay modules."""
    if value.kind != "container" or not value.items:
        return False
    return all(item.kind == "module" for item in value.items) or (len(value.items) == 1 and _names(value.items[0]))


def _names(item: Value) -> bool:
    """Whether it is what ``named_children()`` lists: a name and a module."""
    return item.kind == "container" and [part.kind for part in item.items or ()] == ["number", "module"]


def _all_of(it: Invocation, first: Value) -> Value:
    """``chain(a.parameters(), b.parameters())``: those of no one module."""
    owners = {argument.value.of for argument in it.arguments}
    return first if len(owners) == 1 else replace(first, of=None)


def _copied(it: Invocation, value: Value) -> Value:
    """``copy.deepcopy(x)``: another object, its flags and its ``.grad`` as they were."""
    return replace(value, memory=ALONE[it.at]) if value.is_tensor else value


def _asked_for_attribute(it: Invocation, name: str) -> Value:
    """``getattr(x, "grad", None)``, ``hasattr(x, "grad")``."""
    attribute, first = it.argument(1), it.argument(0)
    if first is None or attribute is None or attribute.constant != "grad":
        return NUMBER if name.endswith("hasattr") else plain(it.given)
    tested = name.endswith("hasattr") or len(it.arguments) > 2
    it.run.reads.note(it.at, "grad", first, None, tested=tested)
    return NUMBER if name.endswith("hasattr") else Value("tensor", read_at=it.at)


def _set_attribute(it: Invocation) -> Value:
    """``setattr(layer, name, weight)``: the object holds it from here on, under a name that may be seen."""
    owner, attribute, value = (it.argument(number) for number in range(3))
    path = dotted(it.arguments[0].expression) if owner is not None else None
    if value is not None and path is not None and attribute is not None and isinstance(attribute.constant, str):
        it.run.flow.used(value.origins, "stored", it.at, f"{path}.{attribute.constant}")
    elif value is not None:
        it.run.flow.used(value.origins, "escaped", it.at, "setattr")
    return NONE


def _looked_at(it: Invocation, name: str) -> Value:
    """A function that only looks: printing, metrics, comparisons, other libraries."""
    last = last_part(name)
    it.read(name if name.startswith("numpy.") else last)
    lost = Loss(last, it.run.function.place(it.at))
    if name.startswith("numpy."):
        return Value("array")  # as a rule: of a tensor numpy makes a tensor here and there
    if name in _NUMBERS:
        return replace(NUMBER, lost=lost, shadow=it.traces)
    if name.startswith("torch.") and last in INDEXING:
        return tensors.index(last, it.traces, it.at, it.run)
    return NUMBER if name.startswith("builtins.") else Value(target=External(name))


def _function_of_torch(it: Invocation, name: str, first: Value) -> Value:
    """A function of torch, as far as it is known to compute something new from what it is given."""
    values = [argument.value for argument in it.arguments]
    for value in values:
        it.run.reads.dereferenced(value)
    home, _, last = name.rpartition(".")
    if last in PICKING:
        values = tensors.picked(values)
    if it.has("out") or it.has("inplace"):
        return plain(it.given)
    if home == "torch.nn.functional":
        known = last.islower() and not UNCLEAR_FUNCTIONALS.search(last)
        return _computed(it, it.compared) if known else plain(it.given)
    if home in _ALGEBRA or (last in COMPUTING and home == "torch"):
        return _computed(it, values)
    if home != "torch":
        return plain(it.given)
    if last == "detach":
        return without_graph(first, Loss("detach", it.run.function.place(it.at)))
    if last in VALUES_AND_INDICES and len(it.arguments) == 1:
        return _computed(it, values)
    if last in VIEWING:
        return tensors.viewed(first, it.at, it.run)
    if last in RESHAPING:
        return tensors.either(tensors.viewed(first, it.at, it.run), _computed(it, values))
    if last in KEEPING and first.is_tensor:
        return tensors.kept(first, it.at, it.run)
    return plain(it.given)


def _computed(it: Invocation, values: list[Value]) -> Value:
    return tensors.computed(values, it.given, it.at, it.run, dtype=it.has("dtype"))


def _side_by_side(it: Invocation, name: str) -> Value:
    """What ``zip`` and ``enumerate`` iterate over: tuples that keep their items apart."""
    given = [argument for argument in it.arguments if argument.keyword is None]
    if any(argument.stars for argument in given):
        return plain(it.given)
    items = [evaluate.element_of(argument.value, argument.expression, it.run) for argument in given]
    if name == "builtins.enumerate":
        items = [NUMBER, *items[:1]]
    pair = Value("container", origins=it.given, items=tuple(items))
    return Value("container", origins=it.given, items=(pair,))


def _parts(it: Invocation) -> tuple[Value, ...] | None:
    """What a container of modules holds; ``ModuleList([a, b])`` is given it as one list."""
    parts = tuple(argument.value for argument in it.arguments)
    if len(parts) == 1 and parts[0].kind == "container":
        return parts[0].items
    return parts


def _is_bare(it: Invocation, name: str) -> bool | None:
    """True for a module of torch without parameters, or a Sequential of such, or of nothing; None for all others."""
    parts = [argument.value for argument in it.arguments]
    bare = name == "torch.nn.Sequential" and all(part.kind == "module" and part.frozen for part in parts)
    return True if bare or PARAMETER_FREE.search(name) or _is_plain_norm(it, name) else None


def _is_plain_norm(it: Invocation, name: str) -> bool:
    """``nn.InstanceNorm2d(64)`` without ``affine=True``."""
    flag = it.argument(3, "affine") if PLAIN_NORMS.search(name) else None
    starred = any(argument.stars for argument in it.arguments)
    return PLAIN_NORMS.search(name) is not None and not starred and (flag is None or flag.constant is False)


def _factory(it: Invocation, name: str) -> Value:
    last, first = last_part(name), it.argument(0)
    given = [argument.value for argument in it.arguments]
    listed = bool(it.arguments) and is_made_list(it.arguments[0].expression)
    is_data = listed or all(tensors.requires_grad(value) is False and not value.is_tensor for value in given)
    if last == "as_tensor" and first is not None and first.kind != "container" and not is_data:
        return tensors.kept(first, it.at, it.run) if first.is_tensor else Value("tensor", origins=it.given)
    # What becomes a tensor there was none before, whatever it is of.
    it.run.flow.used(it.given, "escaped" if last == "from_numpy" else "read", it.at, name)
    return made_of_data(it, name) if last in COPYING_FACTORIES or is_data else Value("tensor")


def made_of_data(it: Invocation, name: str) -> Value:
    """A new tensor of data, a leaf if ``requires_grad=True``."""
    flag = it.argument(99, "requires_grad")
    wanted = flag.constant if flag is not None and isinstance(flag.constant, bool) else None
    if wanted:
        it.run.note_leaf(it.at)
    if flag is None and it.has("requires_grad"):
        tensor = PLAIN | LEAF  # ``**options``
    else:
        tensor = PLAIN if flag is None or wanted is False else LEAF if wanted else PLAIN | LEAF
    if it.has("out"):
        return Value("tensor")
    lost = Loss(name, it.run.function.place(it.at)) if tensor == PLAIN else None
    made = tensors.made("tensor", tensor, it.at, it.run, lost=lost)
    if last_part(name) not in BLANK_FACTORIES:
        copied = (argument.value.traces for argument in it.arguments if argument.keyword not in _SETTINGS)
        made = replace(made, shadow=together(copied))
    return replace(made, default_float=True) if _is_default_float(it, name) else made


def _is_default_float(it: Invocation, name: str) -> bool:
    if it.has("dtype") or it.run.flows.sets_default_type:
        return False
    last, first = last_part(name), it.argument(0)
    if last == "tensor" and first is not None:
        items = first.items if first.items is not None else (first,)
        return all(isinstance(item.constant, float) for item in items)
    return last in DEFAULT_FLOATS


def _wrapped(it: Invocation, name: str) -> Value:
    """``nn.Parameter(t)``, ``Variable(t)``: new tensors, without the graph of ``t``."""
    flag = it.argument(1, "requires_grad")
    variable = name.endswith("Variable")
    if variable and (flag is None or flag.constant is not True):
        # For the uses of a forward's result a Variable of old code is that result.
        given = it.argument(0) or UNKNOWN
        if given.kind == "unknown" and given.tensor == ANY:
            return given
        lost = Loss(name, it.run.function.place(it.at))
        tensor = PLAIN if flag is None or flag.constant is False else PLAIN | LEAF
        return tensors.made("tensor", tensor, it.at, it.run, origins=given.origins, lost=lost)
    if variable:
        it.run.note_leaf(it.at)
    it.run.flow.used(it.given, "read", it.at, name)
    known = flag is None or isinstance(flag.constant, bool)
    tensor = PLAIN | LEAF if not known else PLAIN if flag and flag.constant is False else LEAF
    return replace(tensors.made("tensor", tensor, it.at, it.run), shadow=it.traces)


def _is_bound(given: Expression) -> bool:
    """``torch.max(image, clean - eps)``: arithmetic with something else than whole numbers is no dimension."""
    if not isinstance(given, Operation) or given.operator not in ("+", "-") or len(given.operands) != 2:
        return False
    if any(isinstance(part, Constant) and isinstance(part.value, int) for part in within(given)):
        return False
    return not any(_DIMENSION.search(dotted(part) or "") for part in within(given))


def values_and_indices(it: Invocation, owner: Value) -> Value:
    """What ``max(dim)``, ``topk`` and ``sort`` give."""
    index = 0 if it.receiver is owner else 1
    second = it.argument(index)
    given = [a.expression for a in it.arguments if a.keyword is None and not a.stars]
    both = second is not None and (second.is_tensor or (owner.is_tensor and _is_bound(given[index])))
    if second is not None and both and last_part(it.name) in ("max", "min"):
        return _computed(it, [owner, second])  # ``torch.max(x, y)``
    it.run.flow.used(it.carried, "read", it.at, "indices")
    if not owner.is_tensor:
        return Value(origins=it.carried, items=(plain(it.carried), NUMBER))
    values = tensors.computed((owner,), it.carried, it.at, it.run)
    return Value(origins=it.carried, items=(values, tensors.index(last_part(it.name), it.traces, it.at, it.run)))
