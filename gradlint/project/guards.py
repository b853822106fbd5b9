"""Reading guards: what a context manager or a decorator does to grad mode.

Follows names to the project's own wrappers: a function that returns ``torch.no_grad()``, a decorator that
wraps its function in one, a ``@contextmanager`` that yields inside one, a class whose ``__enter__`` switches.
"""

from collections.abc import Callable, Iterator
from typing import Protocol

from gradlint.model.code import (
    Attribute,
    Call,
    Conditional,
    Constant,
    Expression,
    Lambda,
    Name,
    Operation,
    Yield,
    dotted,
)
from gradlint.model.facts import MODULE_BODY
from gradlint.model.torch_names import (
    CONTEXT_LIKE,
    CONTEXT_MANAGER_DECORATORS,
    GRAD_MODES,
    GUARD_LIKE,
    IS_GRAD_ENABLED,
    GradModeName,
)
from gradlint.model.traverse import all_expressions
from gradlint.project.bindings import Bindings
from gradlint.project.effects import (
    CHOOSE,
    DISABLE,
    ENABLE,
    ENDLESS,
    IDENTITY,
    LEAVE_INFERENCE,
    MAYBE_DISABLE,
    TO_INFERENCE,
    Effect,
    either,
    then,
)
from gradlint.project.link import Linker
from gradlint.project.nodes import ClassNode, External, FunctionNode, Target
from gradlint.project.returns import returned

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
_Key = tuple[object, ...]  # what is asked, and about what


class Walk(Protocol):
    """Where in a function's body which effect holds; see :mod:`gradlint.project.state`."""

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
        self._found: dict[_Key, Effect | None] = {}  # for the question that is being answered

    def _answer(self, find: Callable[[], Effect | None]) -> Effect | None:
        outside, self._found = self._found, {}
        try:
            found = find()
            return None if found == ENDLESS else found
        finally:
            self._found = outside

    def _once(self, key: _Key, find: Callable[[], Effect | None]) -> Effect | None:
        """What a name or a function does, found once for each question: they may stand for one another in circles."""
        if key not in self._found:
            self._found[key] = ENDLESS
            self._found[key] = find()
        return self._found[key]

    # Context managers

    def context(self, expression: Expression, scope: FunctionNode) -> Effect | None:
        """What ``with expression:`` does to its body; None if it is no guard as far as can be seen."""
        return self._answer(lambda: self._context(expression, scope))

    def _context(self, expression: Expression, scope: FunctionNode) -> Effect | None:
        match expression:
            case Conditional(then=yes, otherwise=no):
                return either((self._context(yes, scope), self._context(no, scope)))
            case Operation(operator="and", operands=operands):
                return self._context(operands[-1], scope)
            case Operation(operator="or", operands=operands):
                return either(self._context(operand, scope) for operand in operands)
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
            return self._context(call.arguments[0].value, scope) if call.arguments else None
        if self.is_configured(name):
            return DISABLE
        match target:
            case External(name=full) if full in GRAD_MODES:
                return self.mode(GRAD_MODES[full], call, scope)
            case FunctionNode():
                return self._once(("function", target), lambda: self._context_function(target))
            case ClassNode():
                return self._context_class(target, call, scope)
            case _:
                return self._once(("call", call.at, scope, name), lambda: self._through_alias(name, call, scope))

    def _through_alias(self, name: str, call: Call, scope: FunctionNode) -> Effect | None:
        """``guard = torch.no_grad if fast else torch.enable_grad; with guard(): ...``."""
        found = [
            self._called(Call(call.at, value, call.arguments), where)
            for where, value in self._bindings.values(scope, name)
            if isinstance(value, Name | Attribute | Conditional)
        ]
        return either(found) if found else self._unseen(name, scope)

    def _unseen(self, name: str, scope: FunctionNode) -> Effect | None:
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
        return None if name is None else self._once(("name", scope, name), lambda: self._held(name, scope))

    def _held(self, name: str, scope: FunctionNode) -> Effect | None:
        found = [self._context(value, where) for where, value in self._bindings.values(scope, name)]
        if found:
            return either(found)
        last = name.rpartition(".")[2]
        if self._linker.resolve(scope, name) is not None or any(word in last.lower() for word in _NOT_GRAD):
            return None
        return MAYBE_DISABLE if CONTEXT_LIKE.search(last) else None

    def _context_function(self, function: FunctionNode) -> Effect | None:
        if is_context_manager(function):
            yields = [e.at for e in all_expressions(function.facts.body) if isinstance(e, Yield)]
            found = {self._walk.effect_at(function, at) for at in yields}
            effect = either(None if e == IDENTITY else e for e in found)
        else:
            values = (value for value in returned(function) if not isinstance(value, Constant))
            effect = either(self._context(value, function) for value in values)
        if effect is None and GUARD_LIKE.search(function.facts.name):
            return MAYBE_DISABLE
        return effect

    def _context_class(self, cls: ClassNode, call: Call, scope: FunctionNode) -> Effect | None:
        for ancestor in self._linker.ancestors(cls):
            if isinstance(ancestor, External) and ancestor.name in GRAD_MODES:
                return self.mode(GRAD_MODES[ancestor.name], call, scope)
        enter = self._linker.find_method(cls, "__enter__")
        if enter is None:
            return None
        effect = self._walk.effect_after(enter)
        return None if effect == IDENTITY else effect

    # Decorators

    def decorators(self, function: FunctionNode) -> Effect:
        """What all decorators of a function do to the state its body runs in."""
        return self._answer(lambda: self._decorated(function)) or IDENTITY

    def _decorated(self, function: FunctionNode) -> Effect | None:
        return self._once(("decorated", function), lambda: self._all_decorators(function))

    def _all_decorators(self, function: FunctionNode) -> Effect:
        effect = IDENTITY
        if function.facts.is_async:
            return effect  # torch's decorators return before an async body runs, a generator's too
        for decorator, scope in self._decorators_of(function):
            found = self._decorator(decorator, scope)
            effect = then(effect, IDENTITY if found is None or found == ENDLESS else found)
        return effect

    def _decorators_of(self, function: FunctionNode) -> Iterator[tuple[Expression, FunctionNode]]:
        scope = function.parent or function
        yield from ((decorator, scope) for decorator in function.facts.decorators)
        top_level = function.facts.parent == MODULE_BODY and function.owner is None
        for where, value in self._bindings.values(scope, function.facts.name) if top_level else ():
            # ``predict = torch.no_grad()(predict)`` decorates as well
            if isinstance(value, Call) and function.facts.name in map(dotted, (a.value for a in value.arguments)):
                yield value.function, where

    def _decorator(self, expression: Expression, scope: FunctionNode) -> Effect | None:
        """What ``@expression`` does to the body of the function below it; None if nothing."""
        if isinstance(expression, Call):
            return self._called_decorator(expression, scope)
        if isinstance(expression, Conditional):
            branches = (expression.then, expression.otherwise)
            return either(self._decorator(branch, scope) for branch in branches)
        name = dotted(expression)
        if name is None:
            return None
        if self.is_configured(name):
            return DISABLE
        match self._linker.resolve(scope, name):
            case External(name=full) if full in GRAD_MODES:  # the bare form works since torch 2.1
                return {"no_grad": DISABLE, "inference_mode": TO_INFERENCE, "enable_grad": ENABLE}.get(GRAD_MODES[full])
            case FunctionNode() as wrapper:
                return self._wrapper(wrapper)
            case ClassNode() as cls:
                return self._context_class(cls, Call(0, expression, ()), scope)
            case _:
                return self._once(("decorator", scope, name), lambda: self._aliased(name, scope))

    def _aliased(self, name: str, scope: FunctionNode) -> Effect | None:
        found = [self._decorator(value, where) for where, value in self._bindings.values(scope, name)]
        return either(found) if found else self._unseen(name, scope)

    def _called_decorator(self, call: Call, scope: FunctionNode) -> Effect | None:
        name = dotted(call.function)
        target: Target | None = self._linker.resolve(scope, name) if name else None
        if isinstance(target, FunctionNode) and not is_context_manager(target):
            return self._once(("factory", target), lambda: self._decorator_factory(target))
        return self._context(call, scope)

    def _decorator_factory(self, factory: FunctionNode) -> Effect | None:
        """``@factory(...)``: what it returns is itself a decorator, or a guard used as one."""
        found: list[Effect | None] = []
        for value in returned(factory):
            name = dotted(value)
            inner = self._linker.resolve(factory, name) if name else None
            if isinstance(inner, FunctionNode):
                found.append(self._wrapper(inner))
            else:
                found.append(self._context(value, factory))
        return either(found) if found else None

    def _wrapper(self, wrapper: FunctionNode) -> Effect | None:
        return self._once(("wrapper", wrapper), lambda: self._wraps(wrapper))

    def _wraps(self, wrapper: FunctionNode) -> Effect | None:
        """What ``wrapper(fn)`` does to ``fn``: wraps it in a guard, or returns an inner function that does."""
        parameters = [p.name for p in wrapper.facts.parameters if p.kind in ("positional", "args")]
        if not parameters:
            return None
        found = [self._wrapped(value, parameters[0], wrapper) for value in returned(wrapper)]
        return either(found) if found else None

    def _wrapped(self, value: Expression, wrapped: str, wrapper: FunctionNode) -> Effect | None:
        if isinstance(value, Lambda):
            return self._inner(wrapper.module.functions[value.function], wrapped)
        name = dotted(value)
        if name is not None:
            inner = self._linker.resolve(wrapper, name)
            return self._inner(inner, wrapped) if isinstance(inner, FunctionNode) else None
        if not isinstance(value, Call):
            return None
        handed = [dotted(argument.value) for argument in value.arguments]
        for name in handed:  # ``update_wrapper(inner, fn)``, ``wraps(fn)(inner)``
            inner = self._linker.resolve(wrapper, name) if name else None
            if isinstance(inner, FunctionNode):
                return self._inner(inner, wrapped)
        if wrapped in handed:  # ``torch.no_grad()(fn)``, ``torch.no_grad(fn)``, ``other_decorator(fn)``
            return self._decorator(value.function, wrapper)
        return None

    def _inner(self, inner: FunctionNode, wrapped: str) -> Effect | None:
        outside = self._decorated(inner) or IDENTITY
        calls = [call.at for call in inner.facts.calls if call.callee == wrapped or wrapped in call.handed]
        found = {then(outside, self._walk.effect_at(inner, at)) for at in calls}
        return either(None if effect == IDENTITY else effect for effect in found)

    def is_configured(self, name: str) -> bool:
        """Whether the configuration lists a name among the guards."""
        return name in self._configured or name.rpartition(".")[2] in self._configured


def is_context_manager(function: FunctionNode) -> bool:
    """Whether a generator function is decorated with ``contextlib.contextmanager``."""
    names = (dotted(decorator) for decorator in function.facts.decorators)
    return any(name and name.rpartition(".")[2] in CONTEXT_MANAGER_DECORATORS for name in names)
