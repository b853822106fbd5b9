"""Reading decorators: guards used as one, and the project's own that wrap a function in a guard."""

from collections.abc import Iterator

from gradlint.model.code import Call, Conditional, Expression, Lambda, dotted
from gradlint.model.facts import MODULE_BODY
from gradlint.model.torch_names import GRAD_MODES
from gradlint.project.grad_states.effects import DISABLE, ENABLE, ENDLESS, IDENTITY, TO_INFERENCE, Effect, either, then
from gradlint.project.grad_states.guards import Guards, Walk, is_context_manager
from gradlint.project.linking.bindings import Bindings
from gradlint.project.linking.link import Linker
from gradlint.project.linking.nodes import ClassNode, External, FunctionNode, Target
from gradlint.project.linking.returns import returned, returned_outcomes
from gradlint.project.linking.scope import stands_in

# Words of a wrapper that knows coroutines, or runs them to their end.
_WAITING = frozenset("iscoroutinefunction iscoroutine isawaitable run run_until_complete".split())


class Decorators:
    """Says what decorators do to the functions below them."""

    def __init__(self, linker: Linker, bindings: Bindings, walk: Walk, guards: Guards) -> None:
        self._linker = linker
        self._bindings = bindings
        self._walk = walk
        self._guards = guards
        self._circles = guards.circles

    def of(self, function: FunctionNode) -> Effect:
        """What all decorators of a function do to the state its body runs in."""
        return self._circles.answer(lambda: self._decorated(function)) or IDENTITY

    def starts_under(self, decorator: Expression, scope: FunctionNode) -> FunctionNode | None:
        """The project's wrapper that switches recording off while it calls what it wraps, and does not wait for it."""
        name = dotted(decorator.function if isinstance(decorator, Call) else decorator)
        wrapper = self._linker.resolve(scope, name) if name else None
        if not isinstance(wrapper, FunctionNode) or is_context_manager(wrapper):
            return None
        inner = (f for f in wrapper.module.functions if stands_in(f, wrapper))
        if any(f.facts.is_async or not _WAITING.isdisjoint(f.facts.words) for f in inner):
            return None
        effect = self._circles.answer(lambda: self._decorator(decorator, scope))
        return wrapper if effect in (DISABLE, TO_INFERENCE) else None

    def _decorated(self, function: FunctionNode) -> Effect | None:
        return self._circles.once(("decorated", function), lambda: self._all_decorators(function))

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
        if self._guards.is_configured(name):
            return DISABLE
        match self._linker.resolve(scope, name):
            case External(name=full) if full in GRAD_MODES:  # the bare form works since torch 2.1
                return {"no_grad": DISABLE, "inference_mode": TO_INFERENCE, "enable_grad": ENABLE}.get(GRAD_MODES[full])
            case FunctionNode() as wrapper:
                return self._wrapper(wrapper)
            case ClassNode() as cls:
                return self._guards.of_class(cls, Call(0, expression, ()), scope)
            case _:
                return self._circles.once(("decorator", scope, name), lambda: self._aliased(name, scope))

    def _aliased(self, name: str, scope: FunctionNode) -> Effect | None:
        found = [self._decorator(value, where) for where, value in self._bindings.values(scope, name)]
        return either(found) if found else self._guards.unseen(name, scope)

    def _called_decorator(self, call: Call, scope: FunctionNode) -> Effect | None:
        name = dotted(call.function)
        target: Target | None = self._linker.resolve(scope, name) if name else None
        if isinstance(target, FunctionNode) and not is_context_manager(target):
            return self._circles.once(("factory", target), lambda: self._decorator_factory(target))
        return self._guards.within(call, scope)

    def _decorator_factory(self, factory: FunctionNode) -> Effect | None:
        """``@factory(...)``: what it returns is itself a decorator, or a guard used as one."""
        found: list[Effect | None] = []
        again = [partly for value in returned(factory) if (partly := self._partly(value, factory)) is not None]
        if again:  # ``if fn is None: return partial(evaluated, amp=amp)``: the rest is for use without a call
            return either(map(self._wrapper, again))
        for value in returned_outcomes(factory):
            name = dotted(value)
            inner = self._linker.resolve(factory, name) if name else None
            if isinstance(inner, FunctionNode):
                found.append(self._wrapper(inner))
            else:
                found.append(self._guards.within(value, factory))
        return either(found) if found else None

    def _partly(self, value: Expression, scope: FunctionNode) -> FunctionNode | None:
        """The function of the project that ``partial(function, option=option)`` goes on to call."""
        name = dotted(value.function) if isinstance(value, Call) and value.arguments else None
        target = self._linker.resolve(scope, name) if name else None
        if not isinstance(value, Call) or target != External("functools.partial"):
            return None
        inner = self._linker.resolve(scope, dotted(value.arguments[0].value) or "")
        return inner if isinstance(inner, FunctionNode) else None

    def _wrapper(self, wrapper: FunctionNode) -> Effect | None:
        return self._circles.once(("wrapper", wrapper), lambda: self._wraps(wrapper))

    def _wraps(self, wrapper: FunctionNode) -> Effect | None:
        """What ``wrapper(fn)`` does to ``fn``: wraps it in a guard, or returns an inner function that does."""
        parameters = [p.name for p in wrapper.facts.parameters if p.kind in ("positional", "args")]
        if not parameters:
            return None
        values = (value for value in returned_outcomes(wrapper) if self._partly(value, wrapper) is not wrapper)
        found = [self._wrapped(value, parameters[0], wrapper) for value in values]
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
