"""Reading guards: what a context manager does to grad mode.

Follows names to the project's own wrappers: a function that returns ``torch.no_grad()``, a ``@contextmanager`` that
yields inside one, a class whose ``__enter__`` switches.
"""

from typing import Protocol

from gradlint.model.code import (
    Attribute,
    Call,
    Conditional,
    Constant,
    Expression,
    Name,
    Operation,
    Yield,
    dotted,
)
from gradlint.model.torch_names import (
    CONTEXT_LIKE,
    CONTEXT_MANAGER_DECORATORS,
    GRAD_MODES,
    GUARD_LIKE,
    IS_GRAD_ENABLED,
    GradModeName,
)
from gradlint.model.traverse import all_of
from gradlint.project.grad_states.circles import Circles
from gradlint.project.grad_states.effects import (
    CHOOSE,
    DISABLE,
    ENABLE,
    IDENTITY,
    LEAVE_INFERENCE,
    MAYBE_DISABLE,
    TO_INFERENCE,
    Effect,
    either,
)
from gradlint.project.linking.bindings import Bindings, on_self
from gradlint.project.linking.callables import is_property
from gradlint.project.linking.link import Linker
from gradlint.project.linking.nodes import ClassNode, External, FunctionNode, Target
from gradlint.project.linking.returns import returned
from gradlint.project.linking.scope import enclosing_withs

_NOT_GRAD = (
    "autocast",
    "amp",
    "profile",
    "record",
    "device",
    "stream",
    "pbar",
    "bar",
    "tape",
    "file",
    "lock",
)


class Walk(Protocol):
    """Where in a function's body which effect holds; see :mod:`gradlint.project.grad_states.state`."""

    def effect_at(self, function: FunctionNode, at: int) -> Effect:
        """What the guards around a node do, seen from the function's entry."""
        ...

    def effect_after(self, function: FunctionNode) -> Effect:
        """What a call of the function leaves behind."""
        ...


class Guards:
    """Says what guards do. Everything is relative: an :data:`Effect` on the state outside."""

    def __init__(self, linker: Linker, bindings: Bindings, walk: Walk, configured: frozenset[str]) -> None:
        self._linker = linker
        self._bindings = bindings
        self._walk = walk
        self._configured = configured
        self.circles = Circles()

    def context(self, expression: Expression, scope: FunctionNode) -> Effect | None:
        """What ``with expression:`` does to its body; None if it is no guard as far as can be seen."""
        return self.circles.answer(lambda: self.within(expression, scope))

    def within(self, expression: Expression, scope: FunctionNode) -> Effect | None:
        """The same as a part of a question that is being answered."""
        match expression:
            case Conditional(then=yes, otherwise=no):
                return either((self.within(yes, scope), self.within(no, scope)))
            case Operation(operator="and", operands=operands):
                return self.within(operands[-1], scope)
            case Operation(operator="or", operands=operands):
                return either(self.within(operand, scope) for operand in operands)
            case Call():
                return self._called(expression, scope)
            case Name() | Attribute():
                return self._named(expression, scope)
            case _:
                return None

    def _called(self, call: Call, scope: FunctionNode) -> Effect | None:
        if isinstance(call.function, Conditional):  # (torch.inference_mode if new else torch.no_grad)()
            branches = (call.function.then, call.function.otherwise)
            return either(self._called(Call(call.at, branch, call.arguments), scope) for branch in branches)
        name = dotted(call.function)
        if name is None:
            return None
        target = self._linker.resolve(scope, name)
        if isinstance(target, External | None) and name.rpartition(".")[2] in (
            "enter_context",
            "enter_async_context",
        ):
            return self.within(call.arguments[0].value, scope) if call.arguments else None
        if self.is_configured(name):
            return DISABLE
        effect = self._of_target(target, name, call, scope)
        return effect if effect is not None else self._handed(call, scope)

    def _of_target(self, target: Target | None, name: str, call: Call, scope: FunctionNode) -> Effect | None:
        match target:
            case External(name=full) if full in GRAD_MODES:
                return self.mode(GRAD_MODES[full], call, scope)
            case FunctionNode():
                return self._made_by(target)
            case ClassNode():
                return self.of_class(target, call, scope)
            case None if methods := self._own_methods(name, scope):
                return either(self._made_by(method) for method in methods)
            case _:
                return self.circles.once(("call", call.at, scope, name), lambda: self._through_alias(name, call, scope))

    def _handed(self, call: Call, scope: FunctionNode) -> Effect | None:
        """``with entered(torch.no_grad(), autocast):``: what is handed a guard may enter it."""
        given = (argument.value for argument in call.arguments if isinstance(argument.value, Call | Conditional))
        return MAYBE_DISABLE if any(self.within(each, scope) is not None for each in given) else None

    def _made_by(self, function: FunctionNode) -> Effect | None:
        return self.circles.once(("function", function), lambda: self._context_function(function))

    def _own_methods(self, name: str, scope: FunctionNode) -> list[FunctionNode]:
        """What ``self.quietly`` may be: the method of the class, and those that subclasses put in its place."""
        if (own := on_self(scope, name)) is None:
            return []
        cls, method = own
        found = (self._linker.find_method(each, method) for each in (cls, *self._linker.subclasses.get(cls, ())))
        return list(dict.fromkeys(each for each in found if each is not None))

    def _through_alias(self, name: str, call: Call, scope: FunctionNode) -> Effect | None:
        """``guard = torch.no_grad if fast else torch.enable_grad; with guard(): ...``."""
        found = [
            self._called(Call(call.at, value, call.arguments), where)
            for where, value in self._bindings.values(scope, name)
            if isinstance(value, Name | Attribute | Conditional)
        ]
        return either(found) if found else self.unseen(name, scope)

    def unseen(self, name: str, scope: FunctionNode) -> Effect | None:
        """A guard that we cannot look into: by its name, or because its file is not among those we were given."""
        first = name.partition(".")[0]
        imports = (*scope.facts.imports, *scope.module.body.facts.imports)
        missing = any(i.binding == first and i.level for i in imports) and self._linker.resolve(scope, name) is None
        return MAYBE_DISABLE if missing or GUARD_LIKE.search(name.rpartition(".")[2]) else None

    def mode(self, mode: GradModeName, call: Call, scope: FunctionNode) -> Effect:
        """What a call of one of torch's own grad modes does, by its argument."""
        if mode == "no_grad":
            return DISABLE
        if mode == "enable_grad":
            return ENABLE
        value = call.arguments[0].value if call.arguments else None
        if mode == "inference_mode":
            if value is None:
                return TO_INFERENCE
            if isinstance(value, Constant) and isinstance(value.value, bool):
                return TO_INFERENCE if value.value else LEAVE_INFERENCE
            return CHOOSE
        if isinstance(value, Constant) and isinstance(value.value, bool):
            return ENABLE if value.value else DISABLE
        return CHOOSE

    def restores(self, call: Call, scope: FunctionNode) -> bool:
        """Whether ``set_grad_enabled(previous)`` puts back what ``is_grad_enabled()`` said before."""
        name = dotted(call.arguments[0].value) if call.arguments else None
        if name is None:
            return False
        values = [value for _, value in self._bindings.values(scope, name)]
        return bool(values) and all(self.asks_mode(value, scope) for value in values)

    def asks_mode(self, value: Expression, scope: FunctionNode) -> bool:
        """Whether an expression is ``torch.is_grad_enabled()``."""
        name = dotted(value.function) if isinstance(value, Call) else None
        target = self._linker.resolve(scope, name) if name else None
        return isinstance(target, External) and target.name in IS_GRAD_ENABLED

    def _named(self, expression: Expression, scope: FunctionNode) -> Effect | None:
        name = dotted(expression)
        return None if name is None else self.circles.once(("name", scope, name), lambda: self._held(name, scope))

    def _held(self, name: str, scope: FunctionNode) -> Effect | None:
        found = [self.within(value, where) for where, value in self._bindings.values(scope, name)]
        if found:
            return either(found)
        if properties := [each for each in self._own_methods(name, scope) if is_property(each)]:
            return either(map(self._made_by, properties))
        last = name.rpartition(".")[2]
        if self._linker.resolve(scope, name) is not None or any(word in last.lower() for word in _NOT_GRAD):
            return None
        return MAYBE_DISABLE if CONTEXT_LIKE.search(last) else None

    def _context_function(self, function: FunctionNode) -> Effect | None:
        if is_context_manager(function):
            yields = [e.at for e in all_of(Yield, function.facts.body)]
            found = {self._walk.effect_at(function, at) for at in yields}
            effect = either(None if e == IDENTITY else e for e in found)
        else:
            values = (value for value in returned(function) if not isinstance(value, Constant))
            effect = either(self.within(value, function) for value in values)
        if effect is None and GUARD_LIKE.search(function.facts.name):
            return MAYBE_DISABLE
        return effect

    def of_class(self, cls: ClassNode, call: Call, scope: FunctionNode) -> Effect | None:
        """What an object of a class of the project does when it is entered."""
        for ancestor in self._linker.ancestors(cls):
            if isinstance(ancestor, External) and ancestor.name in GRAD_MODES:
                return self.mode(GRAD_MODES[ancestor.name], call, scope)
        enter = self._linker.find_method(cls, "__enter__")
        if enter is None:
            return None
        effect = self._walk.effect_after(enter)
        return None if effect == IDENTITY else effect

    def around(self, function: FunctionNode, at: int) -> Expression | None:
        """The guard of the innermost ``with`` around a place that has one."""
        for statement in enclosing_withs(function, at):
            for item in statement.items:
                if self.context(item.context, function) is not None:
                    return item.context
        return None

    def is_configured(self, name: str) -> bool:
        """Whether the configuration lists a name among the guards."""
        return name in self._configured or name.rpartition(".")[2] in self._configured


def is_context_manager(function: FunctionNode) -> bool:
    """Whether a generator function is decorated with ``contextlib.contextmanager``."""
    names = (dotted(decorator) for decorator in function.facts.decorators)
    return any(name and name.rpartition(".")[2] in CONTEXT_MANAGER_DECORATORS for name in names)
