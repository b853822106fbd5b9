"""The abstract run over attributes: what an object, a module or a tensor has under a name."""

import re
from typing import TYPE_CHECKING

from gradlint.model.code import Attribute, dotted
from gradlint.model.record import replace
from gradlint.model.torch_calls import MODEL_NAME, READING_ATTRIBUTES
from gradlint.model.torch_names import WRAPPED
from gradlint.model.torch_tensors import VIEWING
from gradlint.model.traverse import named
from gradlint.project.linking.callables import is_property
from gradlint.project.linking.nodes import ClassNode, External, FunctionNode, ModuleNode
from gradlint.project.running import tensors
from gradlint.project.running.sets import NOTHING
from gradlint.project.running.values import (
    ANY,
    LEAF,
    NUMBER,
    PLAIN,
    UNKNOWN,
    Loss,
    Value,
    elsewhere,
    is_packed,
    plain,
    without_graph,
)

if TYPE_CHECKING:
    from gradlint.project.running.interpret import Run

_KEPT_GRADIENT = re.compile(r"_grad$|^grad_")  # ``p.main_grad``: what somebody keeps beside a parameter is none
_OF_TORCH = frozenset({"retain_grad", "requires_grad", "zero_grad", "grad_fn"})
_FIELDS = ("values", "indices")  # of what ``max(dim)``, ``sort()`` and ``topk(k)`` give


def attribute_of(node: Attribute, owner: Value, run: "Run") -> Value:
    """What an attribute gives when its owner's value is known: a chain of calls is walked once, not 2**n times."""
    run.reads.dereferenced(owner)
    path = dotted(node)
    if path is not None and path in run.env:
        run.reads.withdraw(node.at)
        return _inherit(run.env[path], owner)
    run.reads.note(node.at, node.name, owner, path, spelt=path or named(node))
    if owner.kind == "callable":
        return _of_target(node, owner, run)
    if owner.kind == "self":
        return _of_self(node.name, path, owner, run)
    if owner.kind == "module":
        return _of_module(node.name, owner, run)
    if owner.kind == "parameters" and _KEPT_GRADIENT.search(node.name) and node.name not in _OF_TORCH:
        return UNKNOWN
    if owner.kind == "parameters" and node.name not in ("grad", "data", *READING_ATTRIBUTES):
        return owner
    if owner.kind == "unknown" and isinstance(owner.target, ClassNode):
        return _of_instance(node.name, owner.target, owner, run)
    return _of_tensor(node, owner, run)


def _of_target(node: Attribute, owner: Value, run: "Run") -> Value:
    target = owner.target
    if isinstance(target, ModuleNode) and node.name in target.body.facts.local:
        value = run.flows.outline(target.body).env.get(node.name)
        if value is not None and value.kind != "callable":
            return elsewhere(value)
    found = run.flows.linker.attribute(target, node.name) if target is not None else None
    return Value("callable", target=found) if found is not None else UNKNOWN


def _of_self(name: str, path: str | None, owner: Value, run: "Run") -> Value:
    cls = owner.target
    if not isinstance(cls, ClassNode):
        return UNKNOWN
    value = run.flows.attribute(cls, name)
    if value is None:
        method = run.flows.linker.find_method(cls, name)
        if method is not None:
            return _method(method, run)
        value = UNKNOWN
    if value.parameter is not None:
        value = replace(value, parameter=None)
    if value.origins or owner.memory:
        value = replace(value, origins=NOTHING, memory=owner.memory)
    value = _inherit(value, owner)
    if path is not None and value.kind == "module":
        run.env[path] = value
    if owner.frozen is False and value.kind == "tensor" and run.flows.calls.modules.is_trained_parameter(cls, name):
        return replace(value, tensor=LEAF)
    return value


def _method(method: FunctionNode, run: "Run") -> Value:
    """A method, or what a property gives: a module or a function if that is seen, else nobody knows."""
    if not is_property(method):
        return Value("callable", target=method)
    found = None if run.flows.is_running(method) else run.flows.outline(method).returns
    seen = found is not None and found.kind in ("module", "callable")
    return replace(found, origins=NOTHING, parameter=None) if found is not None and seen else UNKNOWN


def _of_instance(name: str, cls: ClassNode, owner: Value, run: "Run") -> Value:
    """An attribute or method of an instance of a class of the project that is no module."""
    if (method := run.flows.linker.find_method(cls, name)) is not None:
        return _method(method, run)
    value = run.flows.attribute(cls, name)
    if value is None:
        return plain(owner.origins, owner.memory)
    return replace(value, parameter=None, origins=owner.origins, memory=owner.memory)


def _of_module(name: str, owner: Value, run: "Run") -> Value:
    if name in WRAPPED:
        return owner
    if name in ("weight", "bias", "data"):
        return _parameter(name, owner)
    if isinstance(owner.target, ClassNode):
        value = run.flows.attribute(owner.target, name)
        handed = value is not None and value.kind == "unknown" and value.parameter is not None
        if value is not None and not (handed and MODEL_NAME.search(name)):  # what the constructor is given: by its name
            return _inherit(replace(value, parameter=None, origins=NOTHING), owner)
        if value is None and (method := run.flows.linker.find_method(owner.target, name)) is not None:
            return _method(method, run)
    if MODEL_NAME.search(name):
        return Value(
            "module",
            born=owner.born,
            training=owner.training,
            mode_at=owner.mode_at,
            frozen=owner.frozen,
            certainty="named",
            parameter=owner.parameter,
        )
    return Value(born=owner.born) if owner.born is not None else UNKNOWN


def _parameter(name: str, owner: Value) -> Value:
    """``module.weight``; only of torch's own modules, just made, is it known to be a leaf."""
    target = owner.target.name if isinstance(owner.target, External) else ""
    own = owner.born is not None and target.startswith("torch.nn.") and name != "data"
    tensor = ANY if not own else PLAIN if owner.frozen else LEAF if owner.frozen is None else PLAIN | LEAF
    return Value("tensor", tensor=tensor, born=owner.born)


def _inherit(value: Value, owner: Value) -> Value:
    """A submodule is in evaluation mode, or frozen, when the module that holds it is."""
    if value.kind != "module":
        return value
    if value.training is None and owner.training is not None:
        value = replace(value, training=owner.training, mode_at=owner.mode_at)
    if value.frozen is None and owner.frozen is not None:
        value = replace(value, frozen=owner.frozen)
    return value


def _of_tensor(node: Attribute, owner: Value, run: "Run") -> Value:
    name, at = node.name, node.at
    if name in _FIELDS and owner.kind == "unknown" and owner.items is not None and len(owner.items) == len(_FIELDS):
        return owner.items[_FIELDS.index(name)]
    if name in READING_ATTRIBUTES:
        run.flow.used(owner.origins, "read", at, name)
        return NUMBER
    if name == "data" and is_packed(owner):
        return plain(owner.origins, owner.memory)
    if name == "data":
        run.flow.used(owner.origins, "read", at, "data")
        data = without_graph(owner, Loss("data", run.function.place(at)))
        # ``.data`` of a batch is another matter.
        return data if owner.is_tensor or owner.kind == "parameters" else replace(data, tensor=ANY, lost=None)
    if name == "grad":
        return Value("tensor", read_at=at)
    if owner.kind == "tensor" and name in VIEWING:
        return tensors.viewed(owner, at, run)
    if owner.kind == "tensor" and name in ("real", "imag"):
        return tensors.kept(owner, at, run)
    if owner.born is not None and owner.kind == "unknown" and owner.tensor == ANY:
        return replace(plain(owner.origins), born=owner.born)  # a part of a module that was just made
    return tensors.named_part(owner, name, run)
