"""What a function does to gradients, in order: writes its *script* of backward, clip, step and zero_grad.

What a function of the project does stands in the place of its call, with names as the caller knows them.
"""

import re
from collections.abc import Iterator, Set

from gradlint.model.code import (
    Assign,
    Attribute,
    Augment,
    Block,
    Call,
    Comprehension,
    Constant,
    Evaluate,
    Expression,
    For,
    If,
    Jump,
    Name,
    Raise,
    Return,
    Statement,
    Subscript,
    Switch,
    Try,
    While,
    With,
    dotted,
    is_none,
)
from gradlint.model.record import replace
from gradlint.model.torch_calls import BACKWARD_METHODS, GRADIENT_NAMES, STEPPING_METHODS, TRAINING_NAMES
from gradlint.model.traverse import called_name, expressions, named, parts
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.linking.memos import Memo, Whole
from gradlint.project.linking.nodes import External, FunctionNode
from gradlint.project.questions.besides import Besides
from gradlint.project.questions.deriving import some_forward_walks
from gradlint.project.questions.each import done_to_each, gone_through, zeroed_parameters
from gradlint.project.questions.handed_optimizers import (
    HandedOptimizers,
    first_given,
    is_optimizer_name,
    sounds_like_optimizer,
    stepped_with,
)
from gradlint.project.questions.leaving import may_zero
from gradlint.project.questions.reaching import Reaching
from gradlint.project.questions.scripts import (
    Act,
    Branch,
    Leave,
    Repeat,
    Script,
    acts,
    branched,
    broken_off,
    ended,
    moved,
    repeated,
    size,
)
from gradlint.project.running.flow import MOST_TARGETS, CallEvent, Flow, Passed, passes_object
from gradlint.project.running.flows import Flows

_DEEPEST = 4  # calls of calls of calls
_LONGEST = 300  # of what a call does; more is not followed
_WORDS = BACKWARD_METHODS | STEPPING_METHODS | {"zero_grad"}
_FILLING = frozenset({"add_", "copy_", "fill_", "set_", "sub_"})
_CLIPS = frozenset({"clip_grad_norm_", "clip_grad_norm", "clip_grad_value_"})
_CLIPPING = _CLIPS | {"clip_grad", "clip_grad_", "clip_grad_value", "clip_gradient", "clip_gradients"}
_MINDING = BACKWARD_METHODS | _CLIPPING | {"zero_grad", "grad"}
# What gives derivatives and leaves every ``.grad`` as it is, whatever name it is imported by.
_DERIVING = re.compile(r"^torch\.(autograd\.(grad$|functional\.)|func\.)")
_PIPELINE = re.compile(r"(^|[._])(pipe\w*_)?schedule\.step$", re.I)


class Steps:
    """Writes scripts on demand."""

    def __init__(self, calls: CallGraph, flows: Flows) -> None:
        self._flows = flows
        self.callables = calls.callables
        self._scripts: Memo[tuple[FunctionNode, int], Script] = Memo(
            flows.linker.dependencies, lambda key: self._written(key[0]), ()
        )
        self._acting = Reaching("acting", flows.linker, calls, _may_act)
        self._stepping = Reaching("stepping", flows.linker, calls, lambda words: not STEPPING_METHODS.isdisjoint(words))
        self._reading = Reaching("reading", flows.linker, calls, lambda words: "grad" in words)
        self._minding = Reaching("minding", flows.linker, calls, lambda words: not _MINDING.isdisjoint(words))
        self._besides = Besides(flows.linker, calls, lambda function: not _WORDS.isdisjoint(function.facts.words))
        self._some_forward_walks: Whole[bool] = Whole(
            flows.linker.dependencies, "some forward walks", lambda: some_forward_walks(flows.linker, calls.modules)
        )
        self._writing: list[FunctionNode] = []
        self.handed = HandedOptimizers(calls, flows, self.acts)

    def acts(self, function: FunctionNode) -> bool:
        """Whether a function may do something to gradients; costs next to nothing."""
        own = not _CLIPS.isdisjoint(function.facts.words) or self._acting.of(function)
        return own or bool(self._besides.chosen(function))

    def may_step(self, function: FunctionNode) -> bool:
        """Whether a function, or one that it calls, may step with an optimizer: gradients are minded there, too."""
        return self._stepping.of(function) and self.may_mind(function)

    def may_read(self, function: FunctionNode) -> bool:
        """Whether a function, or one that it calls, may read a ``.grad``."""
        return self._reading.of(function)

    def may_mind(self, function: FunctionNode) -> bool:
        """Whether gradients are computed, zeroed, clipped or read there: schedulers and environments step as well."""
        return self._minding.of(function)

    def clips(self, function: FunctionNode) -> bool:
        """Whether a function itself may clip gradients."""
        return not _CLIPPING.isdisjoint(function.facts.words)

    def chosen(self, function: FunctionNode) -> frozenset[int]:
        """The calls of a function that may do anything: what they call is chosen by name when the program runs."""
        return self._besides.chosen(function)

    @property
    def some_forward_walks(self) -> bool:
        """Whether some module of the project runs ``backward()`` in its ``forward``."""
        return self._some_forward_walks.value

    def script(self, function: FunctionNode) -> Script:
        """What a function does, in order; nothing while its own script is being written, or far down."""
        if self.is_cut_off(function) or not self.acts(function):
            return ()
        return self._scripts.of((function, len(self._writing)))

    def is_cut_off(self, function: FunctionNode) -> bool:
        """Whether a function's script is not to be had here: it is being written, or would be too far down."""
        return function in self._writing or len(self._writing) > _DEEPEST

    def _written(self, function: FunctionNode) -> Script:
        self._writing.append(function)
        try:
            script = _Writer(self, self._flows.flow(function)).block(function.facts.body)
            around = (Act("anything", function.facts.at, None),) if self._besides.decorators(function) else ()
            return (*around, *script, *around)
        finally:
            self._writing.pop()


class _Writer:
    """Writes the script of one function."""

    def __init__(self, steps: Steps, flow: Flow) -> None:
        self._steps = steps
        self._flow = flow
        self._each = {name for name, holder in gone_through(flow.function) if is_optimizer_name(holder)}

    def block(self, block: Block) -> Script:
        return tuple(item for statement in block for item in self._statement(statement))

    def _statement(self, statement: Statement) -> Iterator["Act | Branch | Repeat | Leave"]:
        for expression in expressions(statement) if not isinstance(statement, While | For) else ():
            yield from self._expression(expression, used=not _drops(statement))
        match statement:
            case Assign(targets=targets):
                yield from self._cleared(targets, statement)
            case Augment(target=target, operator="+" | "-") if _is_grad(target):
                yield Act("fill", target.at, None)
            case If(then=then, otherwise=otherwise):
                yield from branched(self.block(then), self.block(otherwise))
            case For(iterable=iterable, otherwise=otherwise):
                yield from self._expression(iterable)
                yield from self._loop(statement)
                yield from self.block(otherwise)
            case While(test=test, body=body, otherwise=otherwise):
                yield from repeated(statement.at, (*self._expression(test), *self.block(body)))
                yield from self.block(otherwise)
            case With(body=body):
                yield from self.block(body)
            case Try(body=body, handlers=handlers, otherwise=otherwise, final=final):
                tried = (*self.block(body), *self.block(otherwise))
                yield from branched(tried, *((*broken_off(tried), *self.block(handler)) for handler in handlers))
                yield from self.block(final)
            case Switch(cases=cases):
                yield from branched(*(self.block(case) for case in cases), ())
            case Return() | Raise():
                yield Leave("return")
            case Jump(kind=kind):
                yield Leave(kind)
            case _:
                pass

    def _loop(self, loop: For) -> Script:
        if (zeroed := zeroed_parameters(self._flow, loop)) is not None:
            return (zeroed,)
        body = self.block(loop.body)
        each = done_to_each(self._flow.function, loop.target, loop.iterable, body)
        return each if each is not None else repeated(loop.at, body)

    def _cleared(self, targets: tuple[Expression, ...], statement: Assign) -> Iterator[Act]:
        """``p.grad = None``, ``p.grad[:] = 0``: nobody knows of which optimizer."""
        for target in targets:
            if isinstance(target, Subscript | Attribute) and _is_grad(target.value):
                yield Act("anything", target.at, None)
            elif isinstance(target, Attribute) and target.name == "grad":
                yield Act("zero" if is_none(statement.value) else "anything", target.at, None)

    def _expression(self, expression: Expression, *, used: bool = True) -> Iterator["Act | Branch | Repeat | Leave"]:
        if isinstance(expression, Attribute) and expression.name == "grad":
            event = self._flow.attributes.get((expression.at, False))
            if event is not None and event.owner.kind == "parameters":
                yield Act("read", expression.at, event.owner.of)
            elif event is not None and event.owner.kind == "tensor" and (name := named(expression.value)) is not None:
                yield Act("read", expression.at, name, options=(("one", True),))
        inside = tuple(item for part in parts(expression) for item in self._expression(part))
        loop = expression.loops[0] if isinstance(expression, Comprehension) and len(expression.loops) == 1 else None
        each = None  # ``[o.zero_grad() for o in optimizers]``
        if loop is not None and not loop.conditions:
            each = done_to_each(self._flow.function, loop.target, loop.iterable, inside)
        yield from inside if each is None else each
        if isinstance(expression, Call):
            yield from self._call(expression, used=used)

    def _call(self, call: Call, *, used: bool) -> Iterator["Act | Branch | Repeat | Leave"]:
        event = self._flow.calls.get(call.at)
        if event is not None and event.targets and (inlined := self._inlined(call, event)) is not None:
            yield from inlined
            return
        act = self._own_act(call, event)
        if act is not None:
            options = tuple(
                (a.keyword, a.value.value) for a in call.arguments if a.keyword and isinstance(a.value, Constant)
            )
            if act.kind == "step" and event is not None:
                yield from self._closures(act, event)
            yield replace(act, options=options, used=used)
        elif event is not None and event.forward and not event.targets and self._steps.some_forward_walks:
            yield Act("anything", call.at, None)  # it may be that of a module of who knows what class
        elif event is None or event.opaque or event.targets or _walks_by_name(event):
            yield from self._unknown(call, event)

    def _own_act(self, call: Call, event: CallEvent | None) -> Act | None:
        method, function = called_name(call), call.function
        owner = function.value if isinstance(function, Attribute) else None
        first = first_given(call)
        if method in BACKWARD_METHODS:
            return Act("backward", call.at, named(owner) if owner is not None else None)
        if method == "zero_grad" or (_is_grad(owner) and (method == "zero_" or _fills_with_zero(method, first))):
            whose = owner if owner is not None else first
            return Act("zero", call.at, self._path(whose) if whose is not None and not _is_grad(owner) else None)
        if _is_grad(owner) and method in _FILLING:
            return Act("fill", call.at, None)
        if method in _CLIPPING:
            return Act("clip", call.at, _module_of(first) or (named(owner) if first is None and owner else None))
        if method in STEPPING_METHODS:
            for candidate in stepped_with(call):
                if self._is_optimizer(candidate, event, candidate is owner):
                    return Act("step", call.at, self._path(candidate))
        return None

    def _path(self, expression: Expression) -> str | None:
        name = named(expression)
        return name and self._steps.callables.behind_property(self._flow.function, name)

    def _is_optimizer(self, expression: Expression, event: CallEvent | None, is_receiver: bool) -> bool:
        if is_receiver and event is not None and event.receiver is not None and event.receiver.kind == "optimizer":
            return True
        name = named(expression) or ""
        if is_optimizer_name(name) or name in self._each or name in _stepping_and_zeroing(self._flow.function):
            return True
        return is_receiver and self._steps.handed.is_handed(self._flow.function, name)

    def _closures(self, act: Act, event: CallEvent) -> Iterator["Act | Branch | Repeat | Leave"]:
        """``optimizer.step(closure)`` runs the closure first; given anything else, it is no optimizer of torch's.

        ``diffopt.step(loss)`` and ``newton.step(images, labels)`` compute gradients themselves, ``step(context_id)``
        takes those of a context, and one that searches along a line walks the loss that its closure gives.
        """
        for argument in event.arguments:
            closure = argument.value.target
            if isinstance(closure, FunctionNode):
                done = self._steps.script(closure)
                walks = any(each.kind in ("backward", "anything") for each in acts(done))
                if not walks and (event.receiver is None or event.receiver.kind != "optimizer"):
                    yield Act("anything", event.at, None)
                yield from moved(done, event.at, closure, {}, _bound_to(argument.expression))
            elif not (argument.stars or argument.keyword or _is_none_or(argument, act.path)):
                yield Act("anything", event.at, None)

    def _inlined(self, call: Call, event: CallEvent) -> Script | None:
        """What the functions of the project do that a call runs; None if they do nothing to gradients."""
        if len(event.targets) > MOST_TARGETS:
            return (Act("anything", call.at, None),) if any(map(self._steps.acts, event.targets)) else ()
        scripts = []
        for target in event.targets:
            script = self._steps.script(target)
            if not script:
                continue
            if size(script) > _LONGEST:
                return (Act("anything", call.at, None),)
            names: dict[str, str | None] = {p.name: None for p in target.facts.parameters}
            names |= _handed(call, target, bound=passes_object(event, target))
            prefix = "self." if _is_own(event) else f"{event.name.rpartition('.')[0]}."
            scripts.append(moved(ended(script), call.at, target, names, prefix))
        if not scripts:
            unseen = (target for target in event.targets if self._steps.is_cut_off(target))
            return None if any(map(self._steps.acts, unseen)) else ()
        return scripts[0] if len(event.targets) == 1 else (Branch(tuple(scripts)),)

    def _unknown(self, call: Call, event: CallEvent | None) -> Iterator[Act]:
        called = event.callee.target if event is not None else None
        if isinstance(called, External) and _DERIVING.search(called.name):
            return
        name = event.name if event is not None else dotted(call.function) or "?"
        chosen = call.at in self._steps.chosen(self._flow.function)
        handed = any(sounds_like_optimizer(named(a.value) or "") for a in call.arguments)
        runs = event is not None and _runs_pipeline(event)
        if chosen or runs or may_zero(name, handed=handed):
            yield Act("anything", call.at, None)


def _may_act(words: Set[str]) -> bool:
    """Whether a function with these words may step or zero, or runs what walks a graph: ``forward_backward_func``.

    ``weight.grad = -delta``: learning rules that are no gradient descent put their steps there.
    """
    return not _WORDS.isdisjoint(words) or "grad" in words or any("backward" in word for word in words)


def _is_own(event: CallEvent) -> bool:
    """Whether a call runs a method of the object it stands in: ``self.update()``, ``super().update()``."""
    return event.name.startswith("super().") or (event.receiver is not None and event.receiver.kind == "self")


def _drops(statement: Statement) -> bool:
    """Whether nobody looks at what a statement computes: ``_ = clip_grad_norm_(parameters, 1)``."""
    named = statement.targets if isinstance(statement, Assign) else ()
    return isinstance(statement, Evaluate) or (bool(named) and all(isinstance(t, Name) and t.id == "_" for t in named))


def _is_none_or(argument: Passed, path: str | None) -> bool:
    return argument.value.kind == "none" or named(argument.expression) == path


def _bound_to(closure: Expression) -> str:
    """What a closure's own ``self.`` is called here: ``solver.`` for ``solver.closure``, nothing for a function."""
    owner = named(closure.value) if isinstance(closure, Attribute) else None
    return f"{owner}." if owner is not None else ""


def _walks_by_name(event: CallEvent) -> bool:
    """``architect.unrolled_backward(images)``: what computes gradients, by its name, may put them anywhere."""
    named_so = any(pattern.search(event.method) for pattern in (TRAINING_NAMES, GRADIENT_NAMES))
    return named_so or _runs_pipeline(event)


def _runs_pipeline(event: CallEvent) -> bool:
    """``schedule.step(images)``: forwards and backwards of a batch; a learning rate's schedule is given none."""
    return bool(event.arguments) and _PIPELINE.search(event.name) is not None


def _stepping_and_zeroing(function: FunctionNode) -> set[str]:
    """What both steps and zeroes gradients, whatever it is called: no module does; engines walk the graph, too."""
    owners = {method: _owners(function, method) for method in ("step", "zero_grad", "backward")}
    return (owners["step"] & owners["zero_grad"]) - owners["backward"]


def _owners(function: FunctionNode, method: str) -> set[str]:
    return {call.callee.rpartition(".")[0] for call in function.facts.calls if call.method == method}


def _fills_with_zero(method: str, given: Expression | None) -> bool:
    """``w.grad.fill_(0)``, ``w.grad.mul_(0)``."""
    return method in ("fill_", "mul_") and isinstance(given, Constant) and given.value == 0


def _is_grad(owner: Expression | None) -> bool:
    while isinstance(owner, Attribute):
        if owner.name == "grad":
            return True
        owner = owner.value
    return False


def _module_of(parameters: Expression | None) -> str | None:
    """The module whose parameters these are."""
    if isinstance(parameters, Call) and isinstance(parameters.function, Attribute):
        return named(parameters.function.value) if parameters.function.name == "parameters" else None
    return None


def _handed(call: Call, target: FunctionNode, *, bound: bool) -> dict[str, str | None]:
    """What the caller calls what it hands over, by parameter."""
    positional = [p.name for p in target.facts.parameters if p.kind == "positional"][int(bound) :]
    found: dict[str, str | None] = {}
    for argument in call.arguments:
        if argument.stars:
            break
        if argument.keyword is not None:
            found[argument.keyword] = named(argument.value)
        elif positional:
            found[positional.pop(0)] = named(argument.value)
    return found
