"""Whether a name holds a tensor or a module, where its value is not known but what is done with it is."""

import re
import sys
from collections.abc import Iterator

from gradlint.model.code import Attribute, Augment, Call, Constant, Expression, Name, Operation, dotted
from gradlint.model.inference_names import TORCH_PACKAGES
from gradlint.model.torch_calls import FACTORIES, MODEL_NAME
from gradlint.model.traverse import all_expressions, all_of, statements, within
from gradlint.project.linking.bindings import Bindings, owner_class
from gradlint.project.linking.link import Linker
from gradlint.project.linking.memos import Memo
from gradlint.project.linking.nodes import ClassNode, External, FunctionNode
from gradlint.project.linking.scope import decorated_by
from gradlint.project.running.flows import Flows
from gradlint.project.running.values import Origin, Value

# What tensors have, and hardly anything else of which somebody asks for ``item``, ``detach`` or ``requires_grad``.
_TENSORS_ONLY = frozenset({"data", "detach", "grad", "item", "numpy", "shape", "size"})
_OF_TENSORS = frozenset(
    (
        "backward requires_grad_ unsqueeze squeeze permute view softmax log_softmax sigmoid contiguous numel exp "
        "retain_grad scatter_ masked_fill masked_fill_ type_as detach_ expand_as "
        "view_as new_zeros new_ones data_ptr logsumexp zero_ fill_ copy_ add_ mul_ div_ argmax cpu cuda mean sum"
    ).split()
)
_LOSS = re.compile(r"(^|_)(loss(es)?|kl|kld|nll)(_?\w{1,2}|_\w+)?$")
_ARITHMETIC = frozenset({"+", "-", "*", "/", "@", "**"})
_TENSORS = frozenset({"tensor", "parameters"})
_TENSOR_CLASSES = frozenset({"Parameter", "Tensor"})
_TENSOR_NAMES = frozenset({"torch.Tensor", "torch.nn.Parameter"})
_SEEN = TORCH_PACKAGES | sys.stdlib_module_names


class Evidence:
    """Answers for one project; asks the flow of values first, and then how the name is used."""

    def __init__(self, linker: Linker, bindings: Bindings, flows: Flows) -> None:
        self._linker = linker
        self._bindings = bindings
        self._flows = flows
        self._used: Memo[FunctionNode, frozenset[str]] = Memo(linker.dependencies, self._used_in, frozenset())

    def owned_by_tensor(self, function: FunctionNode, attribute: Attribute) -> bool:
        """Whether an attribute that is read, or a method that is named, is a tensor's."""
        event = self._flows.flow(function).attributes.get((attribute.at, False))
        owner = event.owner if event is not None else None
        if not self.is_tensor(function, attribute.value, owner):
            return False
        certain = owner is not None and (owner.kind != "unknown" or owner.is_tensor)
        return certain or not self._is_elsewhere(attribute.name)

    def _is_elsewhere(self, name: str) -> bool:
        """Whether objects of the project have a property or an attribute of that name: what is unknown may be one."""
        methods = self._linker.methods_named.get(name, ())
        if any(dotted(each) == "property" for method in methods for each in decorated_by(method)):
            return True
        owners = {f.owner for f in self._linker.mentions.of(name) if f.owner is not None}
        return any(self._bindings.attribute(owner, name) for owner in owners)

    def is_tensor(self, function: FunctionNode, expression: Expression, value: Value | None) -> bool:
        """Whether an expression gives a tensor; ``value`` is what the flow knows of it."""
        if value is not None and value.kind != "unknown":
            return value.kind in _TENSORS
        if value is not None and (value.is_tensor or value.target is not None):
            return value.target is None
        if value is not None and any(self._is_forward(origin) for origin in value.origins):
            return True
        name = dotted(expression)
        if name is None:
            return False
        if self.said(function, name) in _TENSOR_NAMES:
            return True
        called_loss = _LOSS.search(name.rpartition(".")[2]) is not None
        return called_loss or name in self._tensors_of(function) or self._is_made(function, name)

    def said(self, function: FunctionNode, name: str) -> str | None:
        """The class outside the project that a function's signature says one of its parameters is of."""
        given = function.annotation(name)
        named = dotted(given) if given is not None else None
        target = self._linker.resolve(function, named) if named is not None else None
        return target.name if isinstance(target, External) else None

    def _is_forward(self, origin: Origin) -> bool:
        """Whether a value comes from a call that runs a module."""
        event = self._flows.flow(origin.function).calls.get(origin.at)
        return event is not None and event.forward

    def owned_by_module(self, function: FunctionNode, attribute: Attribute, *, stored: bool = False) -> bool:
        """Whether an attribute that is read or ``stored`` is a module's; a model's name is enough."""
        event = self._flows.flow(function).attributes.get((attribute.at, stored))
        value = event.owner if event is not None else None
        known = value is not None and (value.kind != "unknown" or value.target is not None)
        if not self.is_module(attribute.value, value):
            return False
        return known or not (_has_data(function, attribute.value) or self._is_renamed(function, attribute.value))

    def _is_renamed(self, function: FunctionNode, owner: Expression) -> bool:
        """``gen = batch``, ``gen -= step``: what only its name makes a model is data by another name."""
        name = dotted(owner)
        values = self._bindings.assigned(function).get(name or "", ())
        changed = (each.target for each in statements(function.facts.body) if isinstance(each, Augment))
        other = any(isinstance(each, Name) and MODEL_NAME.search(each.id) is None for each in values)
        return other or any(dotted(target) == name for target in changed)

    def of_unseen_class(self, function: FunctionNode, attribute: Attribute) -> bool:
        """Whether an attribute that is stored is that of an object whose class derives from one nobody here knows."""
        event = self._flows.flow(function).attributes.get((attribute.at, True))
        cls = event.owner.target if event is not None else None
        bases = self._linker.ancestors(cls) if isinstance(cls, ClassNode) else ()
        outside = [base.name.partition(".")[0] for base in bases if isinstance(base, External)]
        return any(package not in _SEEN for package in outside)

    def is_module(self, expression: Expression, value: Value | None) -> bool:
        """Whether an expression gives a module; ``value`` is what the flow knows of it."""
        if value is not None and (value.kind != "unknown" or value.target is not None):
            return value.kind == "module"
        name = dotted(expression) or ""
        return MODEL_NAME.search(name.rpartition(".")[2]) is not None

    def _is_made(self, function: FunctionNode, name: str) -> bool:
        """Whether a name is assigned a new tensor of torch's anywhere."""
        return any(
            isinstance(value, Call) and self._full_name(where, value.function) in FACTORIES
            for where, value in self._bindings.values(function, name)
        )

    def _tensors_of(self, function: FunctionNode) -> frozenset[str]:
        """The names used as tensors in a function, and those of ``self`` that any method so uses."""
        cls = owner_class(function)
        family = {function, *(cls.methods if cls is not None else ())}
        names = (name for each in family for name in self._used.of(each) if each is function or name[:5] == "self.")
        return frozenset(names)

    def _used_in(self, function: FunctionNode) -> frozenset[str]:
        return frozenset(filter(None, map(dotted, self._operands(function))))

    def _operands(self, function: FunctionNode) -> Iterator[Expression]:
        """What a function calculates with, calls tensor methods on or hands to modules and torch's functions."""
        calls = self._flows.flow(function).calls
        for statement in statements(function.facts.body):
            if isinstance(statement, Augment) and statement.operator in _ARITHMETIC:
                yield statement.value
        for expression in all_expressions(function.facts.body):
            match expression:
                case Call(function=Attribute(name=name, value=owner)) if name in _OF_TENSORS:
                    yield owner
                case Attribute(name="grad_fn" | "is_leaf" | "requires_grad", value=owner):
                    yield owner
                case Operation(operator=operator, operands=operands) if operator in _ARITHMETIC:
                    if not any(map(_is_text, operands)):
                        yield from operands
                case Call(at=at, function=Name() | Attribute() as called, arguments=arguments):
                    runs = at in calls and calls[at].forward
                    if runs or self._full_name(function, called).startswith("torch.nn.functional."):
                        yield from (argument.value for argument in arguments)
                case _:
                    pass

    def _full_name(self, function: FunctionNode, called: Expression) -> str:
        name = dotted(called)
        target = self._linker.resolve(function, name) if name else None
        return target.name if isinstance(target, External) else ""


def _has_data(function: FunctionNode, owner: Expression) -> bool:
    """Whether a function asks something for what only tensors have, though it is called like a model: ``gen_x``.

    Or whether it is one: ``isinstance(model, torch.Tensor)``.
    """
    name = dotted(owner)
    if any(e.name in _TENSORS_ONLY and dotted(e.value) == name for e in all_of(Attribute, function.facts.body)):
        return True
    asking = (e for e in all_of(Call, function.facts.body) if dotted(e.function) == "isinstance")
    return any(len(e.arguments) == 2 and dotted(e.arguments[0].value) == name and _names_tensors(e) for e in asking)


def _names_tensors(asking: Call) -> bool:
    """Whether a tensor is among the classes that ``isinstance`` asks for."""
    names = (dotted(part) or "" for part in within(asking.arguments[1].value))
    return any(name.rpartition(".")[2] in _TENSOR_CLASSES for name in names)


def _is_text(expression: Expression) -> bool:
    return isinstance(expression, Constant) and isinstance(expression.value, str)
