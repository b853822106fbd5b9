"""Whether a name may hold a module, told by how it is bound: most of what constructors are handed makes modules."""

import re
from collections.abc import Iterator

from gradlint.model.code import (
    Assign,
    Attribute,
    Call,
    Comprehension,
    Conditional,
    Constant,
    Display,
    Expression,
    For,
    Formatted,
    Lambda,
    Name,
    Operation,
    Subscript,
    With,
    dotted,
)
from gradlint.model.plain import gives_no_tensor
from gradlint.model.torch_calls import MODEL_NAME, MODULE_FACTORIES, MODULE_TUPLE_FACTORIES, OF_MANY
from gradlint.model.torch_names import MODULE_WRAPPERS, WRAPPED
from gradlint.model.traverse import all_of, bound_by, pairs, statements
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.linking.bindings import Bindings, owner_class
from gradlint.project.linking.link import Linker
from gradlint.project.linking.memos import Memo
from gradlint.project.linking.nodes import ClassNode, External, FunctionNode, Target
from gradlint.project.linking.returns import returned
from gradlint.project.linking.scope import is_treated_as_module

_ALTERNATIVES = frozenset({"and", "or"})
_COMPARISONS = frozenset({"not", "in", "not in", "is", "is not", "==", "!=", "<", "<=", ">", ">="})
_CLASSES = frozenset({"type", "Type", "Callable"})  # ``norm: Type[nn.Module]`` makes a module, and is none
_SWITCHING = frozenset({"eval", "train", "requires_grad", "requires_grad_"})
_PASSING_ON = re.compile(
    r"^(torch|copy|itertools|tqdm)\.|^builtins\.(list|iter|reversed|next|map|filter|zip|enumerate|sum|max|min)$"
)

_Names = set[tuple[FunctionNode, str]]
_RESULT = "()"  # the name of what a function gives


class Holding:
    """Errs on the side of modules: a name holds none only if all that it is given is seen to be something else.

    Whether what is asked about sounds like a model is not looked into here.
    """

    def __init__(self, linker: Linker, bindings: Bindings, calls: CallGraph) -> None:
        self._linker = linker
        self._bindings = bindings
        self._calls = calls
        self._bound_apart: Memo[FunctionNode, frozenset[str]] = Memo(
            linker.dependencies, lambda function: frozenset(_bound_apart(function)), frozenset()
        )
        self._holding: Memo[tuple[FunctionNode, str], bool] = Memo(
            linker.dependencies, lambda key: self._may_hold(*key, set()), meanwhile=True
        )

    def may_hold_module(self, function: FunctionNode, path: str) -> bool:
        """Whether a variable, or an attribute of ``self``, may be a module where a function calls it."""
        return self._holding.of((function, path))

    def may_give_module(self, function: FunctionNode, called: Expression) -> bool:
        """Whether what a function calls, and does not name, may be a module: ``blocks[0](x)``, ``make(dim)(x)``."""
        return self._value_may(function, called, set())

    def is_bound_apart(self, function: FunctionNode, name: str) -> bool:
        """Whether a loop or a comprehension of a function gives something to a name, or it comes out of a tuple."""
        facts = function.facts
        # Most names are not bound by the function at all: then there is nothing to go through.
        may_be = name in facts.local or name in facts.shared or "for" in facts.words
        return may_be and name in self._bound_apart.of(function)

    def _may_hold(self, function: FunctionNode, path: str, seen: _Names) -> bool:
        if (function, path) in seen:
            return False  # it is asked already; each name on the way is asked once, for they may all name one another
        seen.add((function, path))
        if path.startswith("self."):
            return self._attribute_may(function, path, seen)
        return "." in path or self._variable_may(function, path, seen)

    def _variable_may(self, function: FunctionNode, name: str, seen: _Names) -> bool:
        if name == "self" or name in self._bound_apart.of(function) or is_treated_as_module(function, name):
            return True
        scope = _where_bound(function, name)
        if scope is None:
            return False
        if name in self._bound_apart.of(scope) or any(name in each.facts.shared for each in scope.module.functions):
            return True
        if self._may_become_one(scope, name) or self._is_annotated_as_one(scope, name):
            return True
        if self._calls.callables.handed_modules.is_module(scope, name):
            return True
        return any(self._value_may(where, value, seen) for where, value in self._bindings.values(scope, name))

    def _attribute_may(self, function: FunctionNode, path: str, seen: _Names) -> bool:
        cls, name = owner_class(function), path.removeprefix("self.")
        if cls is None or "." in name or name in WRAPPED or self._linker.find_method(cls, name) is not None:
            return True
        if self._bindings.unpacking(cls, name):
            return True
        methods = [method for each in self._bindings.family(cls) for method in each.methods]
        if any(f"cls.{name}" in self._bindings.assigned(method) for method in methods):
            return True
        if any(is_treated_as_module(method, path) for method in methods):
            return True
        return any(self._value_may(where, value, seen) for where, value in self._bindings.attribute(cls, name))

    def _may_become_one(self, scope: FunctionNode, name: str) -> bool:
        """Whether a function treats a variable of its own like a module, under whatever name, or has that done."""
        if any(is_treated_as_module(scope, each) for each in (name, *_other_names(scope, name))):
            return True
        handed = (c.at for c in all_of(Call, scope.facts.body) if any(dotted(a.value) == name for a in c.arguments))
        callees = self._calls.callees.get(scope, {})
        return any(not _SWITCHING.isdisjoint(callee.facts.words) for at in handed for callee in callees.get(at, ()))

    def _is_annotated_as_one(self, scope: FunctionNode, name: str) -> bool:
        said = scope.annotation(name)
        return said is not None and self._names_module(scope, said)

    def _names_module(self, scope: FunctionNode, said: Expression) -> bool:
        match said:
            case Subscript(value=kind, index=index):
                return (dotted(kind) or "").rpartition(".")[2] not in _CLASSES and self._names_module(scope, index)
            case Display(items=items) | Operation(operands=items):
                return any(self._names_module(scope, item) for item in items)
            case Constant(value=value):
                return isinstance(value, str)
            case _:
                named = self._named(scope, said)
                outside = isinstance(named, External) and self._calls.modules.is_outside_module_class(named)
                return outside or isinstance(named, ClassNode)

    def _value_may(self, scope: FunctionNode, value: Expression, seen: _Names) -> bool:
        match value:
            case Constant() | Formatted() | Display() | Comprehension():
                return False
            case Lambda():
                return True  # which may run one
            case Name() | Attribute():
                path = dotted(value)
                return path is None or self._path_may(scope, path, seen)
            case Operation(operator=operator, operands=operands) if operator in _ALTERNATIVES:
                return any(self._value_may(scope, operand, seen) for operand in operands)
            case Operation(operator=operator):
                return operator not in _COMPARISONS
            case Conditional(then=then, otherwise=otherwise):
                return any(self._value_may(scope, each, seen) for each in (then, otherwise))
            case Subscript(value=table):
                return self._item_may(scope, table, seen)
            case Call():
                return self._result_may(scope, value, seen)
            case _:
                return True

    def _path_may(self, scope: FunctionNode, path: str, seen: _Names) -> bool:
        if MODEL_NAME.search(path.rpartition(".")[2]) is not None:
            return True
        target = self._linker.resolve(scope, path)
        if target is not None and path.partition(".")[0] not in self._bindings.assigned(scope):
            return isinstance(target, FunctionNode) and self._may_run_one(target)
        return self._may_hold(scope, path, seen)

    def _may_run_one(self, function: FunctionNode) -> bool:
        """Whether a function calls anything of the project, or what nobody knows."""
        called = (self._linker.resolve(function, call.callee) for call in function.facts.calls)
        return not all(isinstance(target, External) for target in called)

    def _item_may(self, scope: FunctionNode, table: Expression, seen: _Names) -> bool:
        """``Conv[Conv.CONV, 2]`` is a class, or what an object of a class looks up."""
        path = dotted(table)
        if path is None:
            return True
        if path not in self._bindings.assigned(scope) and isinstance(self._linker.resolve(scope, path), ClassNode):
            return False
        values = [value for _, value in self._bindings.values(scope, path)]
        if any(isinstance(value, Display | Comprehension | Subscript) for value in values):
            return True
        of_models = MODEL_NAME.search(OF_MANY.sub("", path.rpartition(".")[2])) is not None
        return of_models or self._may_hold(scope, path, seen)

    def _result_may(self, scope: FunctionNode, call: Call, seen: _Names) -> bool:
        match self._named(scope, call.function):
            case ClassNode() as cls:
                return self._calls.modules.is_module_class(cls)  # else its ``__call__`` is among the callees
            case External(name="functools.partial") if call.arguments:
                return self._value_may(scope, call.arguments[0].value, seen)
            case External(name=name):
                return _may_make_module(name)
            case FunctionNode() as maker if not maker.facts.is_generator and not maker.facts.decorators:
                return self._made_may(maker, seen)
            case _:
                return not gives_no_tensor(call)

    def _made_may(self, maker: FunctionNode, seen: _Names) -> bool:
        if (maker, _RESULT) in seen:
            return False
        seen.add((maker, _RESULT))
        return any(self._value_may(maker, value, seen) for value in returned(maker))

    def _named(self, scope: FunctionNode, expression: Expression) -> Target | None:
        path = dotted(expression)
        return self._linker.resolve(scope, path) if path is not None else None


def _may_make_module(name: str) -> bool:
    """Whether something outside the project makes modules, or gives back what it is given."""
    if MODULE_FACTORIES.search(name) or MODULE_TUPLE_FACTORIES.search(name) or _PASSING_ON.search(name):
        return True
    return name.rpartition(".")[2] in MODULE_WRAPPERS


def _where_bound(function: FunctionNode, name: str) -> FunctionNode | None:
    scope: FunctionNode | None = function
    while scope is not None and name not in scope.facts.local:
        scope = scope.parent
    return scope


def _other_names(scope: FunctionNode, name: str) -> Iterator[str]:
    """What else a function calls it: ``self.net = net``."""
    for statement in statements(scope.facts.body):
        match statement:
            case Assign(targets=targets, value=value):
                for target in targets:
                    yield from (other for other, given in pairs(target, value) if dotted(given) == name != other)
            case _:
                pass


def _bound_apart(function: FunctionNode) -> Iterator[str]:
    """The names that are given something by other means than a plain assignment: by loops, or out of a tuple."""
    for statement in statements(function.facts.body):
        match statement:
            case For(target=target):
                yield from bound_by(target)
            case With(items=items):
                yield from (name for item in items if item.target is not None for name in bound_by(item.target))
            case Assign(targets=targets, value=value):
                for target in targets:
                    yield from {*bound_by(target)} - {name for name, _ in pairs(target, value)}
            case _:
                pass
    if "for" in function.facts.words:
        for comprehension in all_of(Comprehension, function.facts.body):
            yield from (name for loop in comprehension.loops for name in bound_by(loop.target))
