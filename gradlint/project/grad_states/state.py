"""In which grad states the code of a function runs, relative to the state it is entered in."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from gradlint.model.code import (
    Block,
    Call,
    Conditional,
    Constant,
    DefineClass,
    Expression,
    For,
    If,
    Jump,
    Name,
    Operation,
    Raise,
    Return,
    Statement,
    Switch,
    Try,
    While,
    With,
    Yield,
    dotted,
)
from gradlint.model.torch_names import GRAD_MODES
from gradlint.model.traverse import blocks, expressions, parts
from gradlint.project.grad_states.decorators import Decorators
from gradlint.project.grad_states.effects import GRAD, IDENTITY, INFERENCE, NO_GRAD, Effect, apply, join, then
from gradlint.project.grad_states.guards import Guards
from gradlint.project.grad_states.modes import Modes
from gradlint.project.linking.bindings import Bindings, on_self
from gradlint.project.linking.link import Linker
from gradlint.project.linking.memos import Memo, Whole
from gradlint.project.linking.nodes import External, FunctionNode

# Words without which a function without ``with`` cannot change grad mode by itself.
_ENTERING = frozenset({"__enter__", "enter_context"})
_SETTING = frozenset({"set_grad_enabled", "_set_grad_enabled"})


@dataclass(slots=True)
class Walked:
    """What a function's guards do at places, and what a call of it leaves behind."""

    at: dict[int, Effect] = field(default_factory=dict)
    after: Effect = IDENTITY


_UNCHANGED = Walked()


class GradStates:
    """Walks functions on demand; a function without anything that looks like a guard costs nothing."""

    def __init__(self, linker: Linker, bindings: Bindings, modes: Modes, configured: frozenset[str]) -> None:
        self._linker = linker
        self._modes = modes
        self.guards = Guards(linker, bindings, self, configured)
        self.decorators = Decorators(linker, bindings, self, self.guards)
        self._walked: Memo[FunctionNode, Walked] = Memo(linker.dependencies, self._walk, _UNCHANGED, "walked")
        self._leaking: Whole[frozenset[str]] = Whole(linker.dependencies, "leaking", self._find_leaking)
        self._acting: Whole[frozenset[str]] = Whole(linker.dependencies, "acting on modes", self._find_acting)

    def effect_at(self, function: FunctionNode, at: int) -> Effect:
        """What the guards around a call, a yield or a lambda do, seen from the function's entry."""
        return self._walked.of(function).at.get(at, IDENTITY)

    def effects(self, function: FunctionNode) -> frozenset[Effect]:
        """What all the guards in a function do, each at one place or more."""
        return frozenset(self._walked.of(function).at.values())

    def effect_after(self, function: FunctionNode) -> Effect:
        """What a call of the function leaves behind: the identity unless it leaks."""
        return self._walked.of(function).after

    def disables(self, function: FunctionNode, at: int) -> bool:
        """Whether the function itself has switched recording off at a node, if it was on at its entry."""
        return bool(apply(self.effect_at(function, at), GRAD) & (NO_GRAD | INFERENCE))

    def _walk(self, function: FunctionNode) -> Walked:
        return _Walker(self, function).run() if self._may_change(function) else _UNCHANGED

    def _find_leaking(self) -> frozenset[str]:
        return _leaking_names(self._linker, self._modes.spellings(_SETTING))

    def _find_acting(self) -> frozenset[str]:
        leaking = self._modes.spellings(self._leaking.value)
        return _ENTERING | self._modes.spellings(_SETTING) | leaking

    def _may_change(self, function: FunctionNode) -> bool:
        words = function.facts.words
        return "with" in words or not self._acting.value.isdisjoint(words)

    def leak(self, function: FunctionNode, call: Call) -> Effect:
        """What a call leaves behind: ``set_grad_enabled(x)``, ``__enter__()``, and callees that do it."""
        name = dotted(call.function)
        if name is None:
            if isinstance(call.function, Call | Name):
                return IDENTITY
            inner = getattr(call.function, "value", None)  # ``torch.no_grad().__enter__()``
            entered = getattr(call.function, "name", "") == "__enter__" and isinstance(inner, Call)
            if not entered or inner is None or self._modes.made(function, inner) == "inference_mode":
                return IDENTITY  # an inference mode ends with its object, which nothing holds here
            return self.guards.context(inner, function) or IDENTITY
        last = name.rpartition(".")[2]
        if last == "__enter__":
            value = getattr(call.function, "value", None)
            return (self.guards.context(value, function) or IDENTITY) if value is not None else IDENTITY
        if last == "enter_context":
            return self.guards.context(call, function) or IDENTITY
        target = self._linker.resolve(function, name) or self.own_method(function, name)
        if isinstance(target, External) and GRAD_MODES.get(target.name) == "set_grad_enabled":
            return self.guards.mode("set_grad_enabled", call, function)
        if isinstance(target, FunctionNode) and not target.facts.is_generator:
            return self.effect_after(target) if target.facts.name in self._leaking.value else IDENTITY
        return IDENTITY

    def own_method(self, function: FunctionNode, name: str) -> FunctionNode | None:
        """The method that ``self.name()`` runs, if its name is one of those that leave a mode behind."""
        own = on_self(function, name)
        return self._linker.find_method(*own) if own is not None and own[1] in self._leaking.value else None

    def is_restore(self, function: FunctionNode, call: Call) -> bool:
        """Whether a ``set_grad_enabled`` call, or an ``__exit__``, puts the mode back."""
        name = dotted(call.function) or ""
        if getattr(call.function, "name", "") == "__exit__":
            return True
        return name.rpartition(".")[2] in self._modes.spellings(_SETTING) and self.guards.restores(call, function)


class _Walker:
    """One walk over one body. The current effect is threaded through; None after a jump out."""

    def __init__(self, states: GradStates, function: FunctionNode) -> None:
        self._states = states
        self._function = function
        self._found = Walked()
        self._exits: list[Effect] = []

    def run(self) -> Walked:
        last = self._block(self._function.facts.body, IDENTITY)
        ends = [*self._exits, *([last] if last is not None else [])]
        for end in ends:
            self._found.after = end if end is ends[0] else join(self._found.after, end)
        return self._found

    def _block(self, block: Block, effect: Effect | None) -> Effect | None:
        for statement in block:
            if effect is None:
                return None
            effect = self._statement(statement, effect)
        return effect

    def _statement(self, statement: Statement, effect: Effect) -> Effect | None:
        match statement:
            case With():
                return self._with(statement, effect)
            case Return() | Raise():
                after = self._expressions(statement, effect)
                if isinstance(statement, Return):
                    self._exits.append(after)
                return None
            case Jump():
                return None
            case If(then=yes, otherwise=no):
                effect = self._expressions(statement, effect)
                return _meet(self._block(yes, effect), self._block(no, effect))
            case For(body=body, otherwise=otherwise) | While(body=body, otherwise=otherwise):
                effect = self._expressions(statement, effect)
                effect = self._loop(body, effect)
                return None if _is_endless(statement) else self._block(otherwise, effect)
            case Try():
                return self._try(statement, effect)
            case Switch(cases=cases):
                effect = self._expressions(statement, effect)
                ended: Effect | None = effect
                for case in cases:
                    ended = _meet(ended, self._block(case, effect))
                return ended
            case DefineClass(body=body):
                return self._block(body, effect)
            case _:
                return self._expressions(statement, effect)

    def _loop(self, body: Block, effect: Effect) -> Effect:
        after = self._block(body, effect)
        met = effect if after is None else join(effect, after)
        if met != effect:
            self._block(body, met)
        return met

    def _try(self, statement: Try, effect: Effect) -> Effect | None:
        outer, self._exits = self._exits, []
        after = self._block(statement.body, effect)
        ended = self._block(statement.otherwise, after) if after is not None else None
        for handler in statement.handlers:
            ended = _meet(ended, self._block(handler, effect if after is None else join(effect, after)))
        # ``finally`` runs on every way out, a return included.
        returned, self._exits = self._exits, outer
        for end in returned:
            if (left := self._block(statement.final, end)) is not None:
                self._exits.append(left)
        final = self._block(statement.final, ended if ended is not None else effect)
        return final if ended is not None else None

    def _with(self, statement: With, effect: Effect) -> Effect | None:
        inside, restores = effect, False
        for item in statement.items:
            self._visit(item.context, inside, acts=False)
            guard = self._states.guards.context(item.context, self._function)
            inside = inside if guard is None else then(inside, guard)
            restores = restores or guard is not None or _is_exit_stack(item.context)
        outer, self._exits = self._exits, []
        after = self._block(statement.body, inside)
        returned, self._exits = self._exits, outer
        self._exits.extend(effect if restores else end for end in returned)
        return effect if restores and after is not None else after

    def _expressions(self, statement: Statement, effect: Effect) -> Effect:
        for expression in expressions(statement):
            effect = self._visit(expression, effect)
        return effect

    def _visit(self, expression: Expression, effect: Effect, acts: bool = True) -> Effect:
        """Note the effect at every call; a call may change it for what comes after."""
        effect = self._inside(expression, effect)
        if effect is not IDENTITY:
            self._found.at[expression.at] = effect
        if acts and isinstance(expression, Call):
            if self._states.is_restore(self._function, expression):
                return IDENTITY
            effect = then(effect, self._states.leak(self._function, expression))
        if isinstance(expression, Yield):
            self._found.at[expression.at] = effect
        return effect

    def _inside(self, expression: Expression, effect: Effect) -> Effect:
        """The effect of the parts of an expression, of which not all need to be evaluated."""
        match expression:
            case Conditional(test=test, then=yes, otherwise=no):
                effect = self._visit(test, effect)
                return join(self._visit(yes, effect), self._visit(no, effect))
            case Operation(operator="and" | "or", operands=(first, *others)):
                effect = self._visit(first, effect)
                for other in others:
                    effect = join(effect, self._visit(other, effect))
                return effect
            case _:
                for part in parts(expression):
                    effect = self._visit(part, effect)
                return effect


def _is_endless(loop: For | While) -> bool:
    """Whether a loop is only left by a return or an exception."""
    if not isinstance(loop, While) or not isinstance(loop.test, Constant) or not loop.test.value:
        return False
    return not any(isinstance(s, Jump) and s.kind == "break" for s in _of_this_loop(loop.body))


def _of_this_loop(block: Block) -> Iterator[Statement]:
    for statement in block:
        yield statement
        if not isinstance(statement, For | While):
            for inner in blocks(statement):
                yield from _of_this_loop(inner)


def _meet(left: Effect | None, right: Effect | None) -> Effect | None:
    if left is None or right is None:
        return right if left is None else left
    return join(left, right)


def _is_exit_stack(context: Expression) -> bool:
    name = dotted(context.function) if isinstance(context, Call) else None
    return name is not None and name.rpartition(".")[2] in ("ExitStack", "AsyncExitStack")


def _leaking_names(linker: Linker, setting: frozenset[str]) -> frozenset[str]:
    """Names of functions that may return with another grad mode than they were called in."""
    return frozenset(
        function.facts.name
        for module in linker.modules
        for function in module.functions
        if not function.is_module_body and not setting.isdisjoint(function.facts.words)
    ) - {"forward", "__init__", "__call__", "__enter__", "__exit__"}
