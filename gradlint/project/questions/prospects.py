"""Which functions may run a module at all: told by names alone, so that all others need not be run to find out."""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from gradlint.model.code import (
    Assign,
    Attribute,
    Block,
    Constant,
    Display,
    Expression,
    For,
    Name,
    Operation,
    With,
)
from gradlint.model.facts import CallFact
from gradlint.model.torch_calls import CALLED_NETWORKS, FORWARD_METHODS, MODEL_NAME, MODEL_ONLY_METHODS
from gradlint.model.torch_tensors import HARMLESS_METHODS, TENSOR_METHODS
from gradlint.model.traverse import statements
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.linking import scope
from gradlint.project.linking.bindings import Bindings, class_handed, owner_class
from gradlint.project.linking.callables import EVERYBODYS, is_property
from gradlint.project.linking.link import Linker
from gradlint.project.linking.memos import Memo, Table
from gradlint.project.linking.nodes import FunctionNode, ModuleNode
from gradlint.project.linking.scope import is_treated_as_module
from gradlint.project.questions.holding import Holding

_MOST_CANDIDATES = 50  # those that do not take a call's keywords do not count where it is run
_ALWAYS = frozenset({"", "forward", "__call__"})
_EVERYDAY = HARMLESS_METHODS | TENSOR_METHODS  # of objects that are no modules, nor have any under such names
_METHODS = (MODEL_NAME, FORWARD_METHODS, MODEL_ONLY_METHODS)
_Callees = Mapping[FunctionNode, dict[int, list[FunctionNode]]] | Table[FunctionNode, dict[int, list[FunctionNode]]]
_Methods = Mapping[str, list[FunctionNode]] | Table[str, list[FunctionNode]]


class Prospects:
    """Errs on the side of running: a function without a prospect runs no module, whatever its variables hold."""

    def __init__(self, linker: Linker, bindings: Bindings, calls: CallGraph, models: frozenset[str]) -> None:
        self._linker = linker
        self._bindings = bindings
        self._calls = calls
        self._models = frozenset(name.rpartition(".")[2] for name in models)
        self._holding = Holding(linker, bindings, calls)
        dependencies = linker.dependencies
        self._held_in: Memo[ModuleNode, frozenset[str]] = Memo(dependencies, _held_in, frozenset(), "held")
        self._held: Table[str, bool] = Table(dependencies, "held", self._find_held, lambda _: ())
        self._like_a_module: Memo[FunctionNode, bool] = Memo(
            dependencies, self._calls_like_a_module, False, "like a module"
        )
        self._functions: Table[FunctionNode, bool] = Table(dependencies, "prospects", self._find, lambda _: ())

    def may_forward(self, function: FunctionNode) -> bool:
        """Whether some call of a function may run a module."""
        return function in self._functions

    def _find(self) -> dict[FunctionNode, bool]:
        """The functions that call something like a module, and those that call them for what they return."""
        found: dict[FunctionNode, bool] = {}
        callers: defaultdict[FunctionNode, list[FunctionNode]] = defaultdict(list)
        for function in (function for module in self._linker.modules for function in module.functions):
            if self._like_a_module.of(function):
                found[function] = True
            else:
                for called in self._called(function, self._calls.callees.all, self._linker.methods_named.all):
                    callers[called].append(function)
        pending = [function for function in found if function.facts.gives_back]
        while pending:
            for caller in callers.pop(pending.pop(), ()):
                if caller not in found:
                    found[caller] = True
                    if caller.facts.gives_back:
                        pending.append(caller)
        return found

    def called(self, function: FunctionNode) -> Iterator[FunctionNode]:
        """The functions that a function may call, as far as names tell."""
        yield from self._called(function, self._calls.callees, self._linker.methods_named)

    def _called(self, function: FunctionNode, callees: _Callees, methods: _Methods) -> Iterator[FunctionNode]:
        for found in callees.get(function, {}).values():
            yield from found
        for call in function.facts.calls:
            if call.callee != call.method and call.method not in EVERYBODYS:
                named = methods.get(call.method, ())
                if len(named) <= _MOST_CANDIDATES:
                    yield from named

    def calls_like_a_module(self, function: FunctionNode) -> bool:
        """Whether a function calls something that, by its name, may be a module or one of its methods."""
        return self._like_a_module.of(function)

    def knows(self, function: FunctionNode) -> bool:
        """Whether that has been found out already."""
        return function in self._like_a_module

    def _calls_like_a_module(self, function: FunctionNode) -> bool:
        return any(self._is_like_a_module(function, call) for call in function.facts.calls)

    def _is_like_a_module(self, function: FunctionNode, call: CallFact) -> bool:
        name, path, owner = call.method, call.callee.rpartition(".")[0], call.callee.partition(".")[0]
        if owner == "super()":  # else what it calls, if it is in the project, is among the callees
            return name in _ALWAYS and self._is_of_modules(function)
        if not name:
            return self._is_computed_module(function, call)
        if name in _ALWAYS or name in self._models:
            return True
        if path != "self" and name in _EVERYDAY:
            return self._is_module_all_the_same(function, call)
        if path == "self" and self._is_own_method(function, name):
            return False  # it is among the callees, too
        if call.callee:
            return self._is_named_module(function, call)
        return _is_method_of_models(name) or name in self._held or self._is_method_of_computed(function, call)

    def _is_module_all_the_same(self, function: FunctionNode, call: CallFact) -> bool:
        """``clone = copy.deepcopy(net)``, then ``clone(x)``; ``vae.encode(x)``."""
        path, _, name = call.callee.rpartition(".")
        if not path:
            assigned = name in self._bindings.assigned(function) or self._holding.is_bound_apart(function, name)
            return assigned and self._holding.may_hold_module(function, name)
        of_model = MODEL_NAME.search(path.rpartition(".")[2]) and FORWARD_METHODS.search(name)
        return of_model is not None and self._holding.may_hold_module(function, path)

    def _is_named_module(self, function: FunctionNode, call: CallFact) -> bool:
        """``net(x)`` of a variable, ``self.net(x)``, ``agent.act(x)``."""
        path, _, name = call.callee.rpartition(".")
        owner = call.callee.partition(".")[0]
        if call.callee == "cls" and class_handed(function) is not None:
            return False  # it makes one
        if not self._is_assigned(function, owner) and self._linker.resolve(function, call.callee) is not None:
            return False
        is_variable = path in ("", "self")  # of a function, of its object
        if _is_called_like_model(name) if is_variable else _is_method_of_models(name):
            return True
        if is_treated_as_module(function, call.callee):
            return True
        if is_variable or call.callee in self._bindings.assigned(function):
            return self._holding.may_hold_module(function, call.callee)
        return name in self._held and self._may_have_parts(function, path)

    def _may_have_parts(self, function: FunctionNode, path: str) -> bool:
        """Whether what a method is called on may be a module, or an object of the project's that holds one."""
        if MODEL_NAME.search(path.rpartition(".")[2]) is not None:
            return True
        is_instance = self._calls.instances.class_of(function, path) is not None
        return is_instance or self._holding.may_hold_module(function, path)

    def _is_computed_module(self, function: FunctionNode, call: CallFact) -> bool:
        """``make(dim)(x)``, ``layers[0](x)``."""
        node = scope.own_call_at(function, call.at)
        return node is None or self._holding.may_give_module(function, node.function)

    def _is_method_of_computed(self, function: FunctionNode, call: CallFact) -> bool:
        """``self.models[i].posterior(x)``."""
        node = scope.own_call_at(function, call.at)
        owner = node.function.value if node is not None and isinstance(node.function, Attribute) else None
        return owner is None or self._holding.may_give_module(function, owner)

    def _is_assigned(self, function: FunctionNode, name: str) -> bool:
        """Whether a name is a variable of a function or of its file: ``import model``, then ``model = model.Net()``."""
        if self._holding.is_bound_apart(function, name):
            return True
        return any(name in self._bindings.assigned(each) for each in (function, function.module.body))

    def _is_of_modules(self, function: FunctionNode) -> bool:
        cls = owner_class(function)
        return cls is None or self._calls.modules.is_module_class(cls)

    def _is_own_method(self, function: FunctionNode, name: str) -> bool:
        """Whether ``self.name`` is a method of the project, no property, and objects have nothing else in its place."""
        cls = owner_class(function)
        if cls is None or (method := self._linker.find_method(cls, name)) is None:
            return False
        return not (method.facts.is_stub or is_property(method) or self._bindings.attribute(cls, name))

    def held_in(self, module: ModuleNode) -> frozenset[str]:
        """The names under which objects, classes and a module itself hold values, by statements of that module."""
        return self._held_in.of(module)

    def _find_held(self) -> dict[str, bool]:
        """The names under which objects, classes and modules hold values."""
        found = frozenset().union(*map(self.held_in, self._linker.modules))
        return dict.fromkeys(found, True)


def _is_called_like_model(name: str) -> bool:
    return MODEL_NAME.search(name) is not None or name in CALLED_NETWORKS


def _is_method_of_models(name: str) -> bool:
    return any(pattern.search(name) is not None for pattern in _METHODS)


def _held_in(module: ModuleNode) -> frozenset[str]:
    found: set[str] = set()
    for function in module.functions:
        _note_block(function.facts.body, found, everything=function.is_module_body)
        found.update(function.facts.shared)
    for cls in module.classes:
        _note_block(cls.facts.body, found, everything=True)
    return frozenset(found)


def _note_block(block: Block, found: set[str], *, everything: bool) -> None:
    """The attributes of objects that statements assign; with ``everything`` the names too."""
    for statement in statements(block):
        match statement:
            case Assign(targets=targets, value=value):
                if not isinstance(value, Constant):
                    for target in targets:
                        _note(target, found, everything)
            case For(target=target):
                _note(target, found, everything)
            case With(items=items):
                for item in items:
                    if item.target is not None:
                        _note(item.target, found, everything)
            case _:
                pass


def _note(target: Expression, found: set[str], everything: bool) -> None:
    match target:
        case Attribute(value=Name(id="self" | "cls"), name=name):
            found.add(name)
        case Name(id=name) if everything:
            found.add(name)
        case Display(items=items) | Operation(operands=items):
            for item in items:
                _note(item, found, everything)
        case _:
            pass
