"""What optimizers of the project keep of each parameter from step to step, where autograd follows what they compute."""

from collections.abc import Iterator

from gradlint.model.code import (
    Argument,
    Assign,
    Attribute,
    Augment,
    Call,
    Constant,
    Display,
    Expression,
    For,
    Name,
    Operation,
    Statement,
    Subscript,
    dotted,
)
from gradlint.model.record import answer
from gradlint.model.traverse import expressions, pairs, statements, within
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.grad_states.effects import GRAD
from gradlint.project.linking.link import Linker
from gradlint.project.linking.nodes import ClassNode, External, FunctionNode

_ADDING = frozenset("add_ sub_ addcmul_ addcdiv_ lerp_".split())  # to what is there, which stays
_COMPUTING = _ADDING | frozenset("add sub mul mul_ div div_ addcmul addcdiv lerp pow neg sqrt square abs clone".split())
_ARITHMETIC = frozenset({"+", "-", "*", "/", "**"})


@answer
class KeptByStep:
    """A step adds something with a graph to what it keeps; a parameter itself came into that at ``made_at``."""

    at: int
    name: str
    made_at: int


class OptimizerStates:
    """Finds steps of the project's own optimizers whose state takes the graphs of all steps along."""

    def __init__(self, linker: Linker, calls: CallGraph) -> None:
        self._linker = linker
        self._calls = calls

    def kept(self, step: FunctionNode) -> Iterator[KeptByStep]:
        """What a method of an optimizer adds to its state where operations are recorded."""
        owner, words = step.owner, step.facts.words
        if owner is None or not {"state", "param_groups"} <= words or not is_optimizer(self._linker, owner):
            return
        for statement in statements(step.facts.body):
            if isinstance(statement, For) and (parameter := looped_parameter(statement)) is not None:
                yield from _Round(self._calls, step, parameter).kept(statement)


class _Round:
    """One round of the loop over a group's parameters, read from top to bottom."""

    def __init__(self, calls: CallGraph, step: FunctionNode, parameter: str) -> None:
        self._calls = calls
        self._step = step
        self._state: set[str] = set()  # names of ``self.state[p]``
        self._kept: set[str] = set()  # names of what stands in there
        self._graphs: dict[str, int] = {parameter: 0}  # names of what has a graph, each with where that begins

    def kept(self, loop: For) -> Iterator[KeptByStep]:
        for statement in statements(loop.body):
            for expression in expressions(statement):
                yield from self._changed_in_place(expression)
            yield from self._bound(statement)

    def _changed_in_place(self, expression: Expression) -> Iterator[KeptByStep]:
        for call in within(expression):
            match call:
                case Call(function=Attribute(value=owner, name=method), arguments=arguments) if method in _ADDING:
                    begun = [found for a in arguments if (found := self._begun(a.value, call.at)) is not None]
                    yield from self._added(_changed(owner), call.at, begun)
                case _:
                    pass

    def _added(self, changed: Expression, at: int, begun: list[int]) -> Iterator[KeptByStep]:
        """Something that has graphs, which began at these places, is added to what a name holds."""
        name = dotted(changed)
        if not begun:
            return
        if self._is_kept(changed) and self._records(at):
            yield KeptByStep(at, name or "state", begun[0])
        elif name is not None and name not in self._graphs:
            self._graphs[name] = begun[0]

    def _bound(self, statement: Statement) -> Iterator[KeptByStep]:
        match statement:
            case Augment(target=target, operator=operator, value=value, at=at) if operator in ("+", "-"):
                begun = self._begun(value, at)
                yield from self._added(target, target.at, [begun] if begun is not None else [])
            case Assign(targets=targets, value=value, at=at):
                begun = self._begun(value, at)
                goes_on = any(self._is_kept(part) for part in within(value))
                for target in targets:
                    if begun is not None and goes_on and self._is_item(target) and self._records(at):
                        yield KeptByStep(target.at, "state", begun)
                put_away = any(map(self._is_item, targets))
                for name, given in (pair for target in targets for pair in pairs(target, value)):
                    self._name(name, given, at, put_away=put_away)
            case _:
                pass

    def _name(self, name: str, given: Expression, at: int, *, put_away: bool) -> None:
        """Remember what a name stands for from here on."""
        begun = self._begun(given, at)
        for known in (self._state, self._kept):
            known.discard(name)
        self._graphs.pop(name, None)
        if self._is_state(given):
            self._state.add(name)
        elif put_away or self._is_kept(given):
            self._kept.add(name)
        elif begun is not None:
            self._graphs[name] = begun

    def _is_state(self, value: Expression) -> bool:
        """``self.state[p]``, or a name of it."""
        return dotted(value) in self._state or (isinstance(value, Subscript) and dotted(value.value) == "self.state")

    def _is_item(self, value: Expression) -> bool:
        """``state["momentum"]``, ``state.get("momentum", 0)``."""
        match value:
            case Subscript(value=state) | Call(function=Attribute(value=state, name="get")):
                return self._is_state(state)
            case _:
                return False

    def _is_kept(self, value: Expression) -> bool:
        return dotted(value) in self._kept or self._is_item(value)

    def _begun(self, value: Expression, at: int) -> int | None:
        """Where the graph of a value begins, in which parameters take part; None if it has none."""
        match value:
            case Name() | Attribute() if (name := dotted(value)) in self._graphs:
                return (self._graphs[name] or at) if self._records(at) else None
            case Operation(operator=operator, operands=parts) if operator in _ARITHMETIC:
                found = (self._begun(part, value.at) for part in parts)
            case Call(function=Attribute(value=owner, name=name), arguments=arguments) if name in _COMPUTING:
                found = (self._begun(part, value.at) for part in (owner, *(a.value for a in arguments)))
            case _:
                return None
        return next((begun for begun in found if begun is not None), None)

    def _records(self, at: int) -> bool:
        return bool(self._calls.states_at(self._step, at) & GRAD)


def is_optimizer(linker: Linker, cls: ClassNode) -> bool:
    """Whether a class derives from one of torch's optimizers."""
    bases = (base.name for base in linker.ancestors(cls) if isinstance(base, External))
    return any(base.startswith("torch.optim") for base in bases)


def looped_parameter(loop: For) -> str | None:
    """The name of each parameter: ``for p in group["params"]``, ``for number, p in enumerate(group["params"])``."""
    match loop:
        case For(target=Name(id=name), iterable=Subscript(index=Constant(value="params"))):
            return name
        case For(
            target=Display(items=(_, Name(id=name))),
            iterable=Call(
                function=Name(id="enumerate"), arguments=(Argument(value=Subscript(index=Constant(value="params"))),)
            ),
        ):
            return name
        case _:
            return None


def _changed(owner: Expression) -> Expression:
    """What is changed in the end by ``average.mul_(0.9).add_(x)``."""
    match owner:
        case Call(function=Attribute(value=inner, name=name)) if name.endswith("_"):
            return _changed(inner)
        case _:
            return owner
