"""The abstract run over statements. Expressions are in :mod:`evaluate`, calls in :mod:`invoke`."""

from collections.abc import Callable
from dataclasses import dataclass, field

from gradlint.model.code import (
    Assign,
    Augment,
    Block,
    Call,
    Constant,
    DefineClass,
    DefineFunction,
    Delete,
    Evaluate,
    Expression,
    For,
    If,
    ImportName,
    Jump,
    Raise,
    Return,
    Statement,
    Switch,
    Try,
    While,
    With,
    dotted,
)
from gradlint.model.record import replace
from gradlint.project.running import assignments, evaluate
from gradlint.project.running.conditions import decided
from gradlint.project.running.flow import Flow
from gradlint.project.running.flows import Flows
from gradlint.project.running.growth import counters
from gradlint.project.running.idioms import detached_items, ends_in_evaluation_mode, evaluated_inside, evaluated_items
from gradlint.project.running.memory import Env, Memory, Point, meet_envs
from gradlint.project.running.sets import NOTHING
from gradlint.project.running.signature import taken
from gradlint.project.running.values import UNKNOWN, Value, elsewhere, plain

_MOST_ROUNDS = 3  # of a loop; what then still changes is given up
_DEEPEST_LOOP = 6  # loops in loops: further in all is given up, for each level takes several times as long


@dataclass(slots=True)
class _Jumps:
    """Where the jumps of a loop start from."""

    breaks: list[Point] = field(default_factory=list)
    continues: list[Point] = field(default_factory=list)


class Run(Memory):
    """One abstract run over one function."""

    def __init__(self, flows: Flows, flow: Flow) -> None:
        super().__init__(flows, flow)
        self.rebound_by_others = assignments.rebound_by_others(self.function)
        self.counters = counters(self.function)
        self._exits: list[Env] = []
        self._jumps: list[_Jumps] = []
        for index, parameter in enumerate(self.function.facts.parameters):
            self.env[parameter.name] = taken(self.function, index, parameter.name, flows, flow)

    def bind(self, target: Expression, value: Value) -> None:
        """Give a target a value."""
        assignments.bind(self, target, value)

    def run(self) -> None:
        """Run the whole body."""
        last = self.block(self.function.facts.body)
        ends = [*self._exits, *([self.env] if last else [])]
        merged = ends[0] if ends else self.env
        for end in ends[1:]:
            merged = meet_envs(merged, end)
        self.flow.env = merged
        self.flow.effects = self.effects
        self.reads.finish()

    def block(self, block: Block) -> bool:
        """Run a block; whether its end is reached."""
        return all(self.statement(statement) for statement in block)

    def statement(self, statement: Statement) -> bool:
        """Run one statement; whether the next one is reached."""
        match statement:
            case Evaluate(value=value, discarded=discarded):
                if discarded:
                    evaluate.value_of(value, self)
                    self._discard(value)
                else:
                    self.test(value, asserted=True)
            case Assign(targets=targets, value=value):
                found = evaluate.value_of(value, self)
                for target in targets:
                    self.bind(target, assignments.added_to(self, target, value, found, statement.at))
            case Augment():
                assignments.augment(self, statement)
            case Return(value=value):
                self._return(value, statement.at)
                return False
            case Raise(value=value):
                if value is not None:
                    evaluate.value_of(value, self)
                return False
            case Jump(kind=kind):
                if self._jumps:
                    jumps = self._jumps[-1]
                    (jumps.breaks if kind == "break" else jumps.continues).append(self.point())
                return False
            case If(test=test, then=then, otherwise=otherwise):
                self.test(test)
                if (holds := self.decided(test)) is not None:
                    return self.block(then if holds else otherwise)
                if ends_in_evaluation_mode(statement):
                    return self.block(then)
                return self._fork([then, otherwise])
            case For():
                return self._for(statement)
            case While():
                return self._while(statement)
            case With():
                return self._with(statement)
            case Try():
                return self._try(statement)
            case Switch(subject=subject, cases=cases):
                self.test(subject)
                return self._fork([*cases, ()])
            case DefineFunction(name=name, function=index):
                self.env[name] = Value("callable", target=self.function.module.functions[index])
            case DefineClass(name=name, cls=index, body=body):
                inner = dict(self.env)
                outer, self.env = self.env, inner
                self.block(body)
                self.env = outer
                self.env[name] = Value("callable", target=self.function.module.classes[index])
            case Delete(targets=targets):
                for target in targets:
                    self.forget(dotted(target))
            case ImportName(binding=name):
                self.forget(name)
        return True

    def test(self, condition: Expression, *, asserted: bool = False) -> None:
        """Evaluate a condition."""
        self.reads.question(condition, asserted=asserted)
        evaluate.value_of(condition, self)

    def decided(self, test: Expression) -> bool | None:
        """Whether a condition holds, by what is known of names and of the modes that modules have been put into."""
        known = self.flow.known
        if known and "training" in self.function.facts.words:
            modules = ((path, value.training) for path, value in self.env.items() if value.kind == "module")
            known = known | {f"{path}.training": training for path, training in modules if training is not None}
        return decided(test, known) if known else None

    def _discard(self, value: Expression) -> None:
        """A call for its effect alone, of something unknown: it may keep what it is given."""
        event = self.flow.calls.get(value.at) if isinstance(value, Call) else None
        if event is not None and event.opaque:
            for argument in event.arguments:
                self.flow.used(argument.value.origins, "escaped", value.at, event.name)

    def _return(self, value: Expression | None, at: int) -> None:
        found = evaluate.value_of(value, self) if value is not None else Value("none")
        self.flow.used(found.origins, "returned", at)
        self.flow.returned(found)
        self._exits.append(dict(self.env))

    def _fork(self, blocks: list[Block]) -> bool:
        """Run blocks as alternatives; whether the end of one of them is reached."""
        before = self.point()
        ends: list[Point] = []
        self.branches += 1
        for block in blocks:
            self.resume(before)
            if self.block(block):
                ends.append(self.point())
        if len(ends) == len(blocks):
            self.branches -= 1  # else what follows is not reached on every path
        self._arrive(ends)
        return bool(ends)

    def _arrive(self, points: list[Point]) -> None:
        """Go on where paths meet; if there is none, what is known stays as it is."""
        if points:
            self.resume(self.join(points))

    def _for(self, statement: For) -> bool:
        found = evaluate.value_of(statement.iterable, self)
        element = evaluate.element_of(found, statement.iterable, self)
        self.bind(statement.target, element)
        # A module has parameters: a loop over them runs.
        runs = _is_parameter(element)
        outer, self.over_parts = self.over_parts, found.kind == "module"
        jumps = self._loop(lambda: self.bind(statement.target, element), statement.body, runs=runs)
        self.over_parts = outer
        reached = self._leave(jumps, statement.otherwise)
        if (switched := evaluated_items(statement)) is not None:
            self._note_modules(*switched)
        if (path := detached_items(statement)) is not None and path in self.env:
            self.env[path] = replace(self.env[path], origins=NOTHING, items=None)
        return reached

    def _note_modules(self, path: str, at: int) -> None:
        """A list or dict that nothing was known of holds modules, all in evaluation mode."""
        held = self.env.get(path, UNKNOWN)
        if held.kind == "unknown" and held.target is None:
            module = Value("module", certainty="used", training=False, mode_at=(self.function, at))
            self.env[path] = replace(held, kind="container", items=(module,))

    def _while(self, statement: While) -> bool:
        forever = isinstance(statement.test, Constant) and bool(statement.test.value)
        jumps = self._loop(lambda: self.test(statement.test), statement.body, runs=forever)
        if forever:
            self._arrive(jumps.breaks)
            return bool(jumps.breaks)
        return self._leave(jumps, statement.otherwise)

    def _leave(self, jumps: _Jumps, otherwise: Block) -> bool:
        ends = list(jumps.breaks)
        if self.block(otherwise):
            ends.append(self.point())
        self._arrive(ends)
        return bool(ends)

    def _loop(self, enter: Callable[[], None], body: Block, *, runs: bool) -> _Jumps:
        """Run a loop's body: the first round, then all later ones until nothing changes.

        Kept apart, because what holds in the first round need not hold in any other. Afterwards this run stands
        where the loop is over.
        """
        outer = self.loops, self.round, self.branches
        if not self.loops:
            self.branches = 0
        self.loops += 1
        branches = self.branches
        head = self.point()
        jumps, ends = _Jumps(), [] if runs else [head]
        for round_ in range(_MOST_ROUNDS if self.loops > _DEEPEST_LOOP else 0, _MOST_ROUNDS + 1):
            self.round, self.branches = round_, branches
            self.resume(head if round_ < _MOST_ROUNDS else _given_up(head))
            reached = self._once(enter, body, jumps)
            if not reached:
                break
            ends.extend(reached)
            # After a later round the epoch is a new one in which nothing was born: it changes no more.
            after = self.join([head, *reached] if round_ else reached)
            if round_ and after.env == head.env:
                break
            head = after
        self.loops, self.round, self.branches = outer
        self._arrive(ends)
        return jumps

    def _once(self, enter: Callable[[], None], body: Block, jumps: _Jumps) -> list[Point]:
        """One round; gives the points from which there may be another."""
        own = _Jumps(jumps.breaks)
        self._jumps.append(own)
        enter()
        reached = self.block(body)
        self._jumps.pop()
        return [*own.continues, *([self.point()] if reached else [])]

    def _with(self, statement: With) -> bool:
        for item in statement.items:
            entered = evaluate.value_of(item.context, self)
            self._enter(item.context, entered)
            if item.target is not None:
                self.bind(item.target, plain(entered.origins))
        return self.block(statement.body)

    def _enter(self, context: Expression, entered: Value) -> None:
        """``with evaluating(net):``"""
        for name in evaluated_inside(self.flows.linker, context, entered):
            given = self.env.get(name)
            if given is not None and given.kind == "module":
                at = (self.function, context.at)
                self.replace_everywhere(given, replace(given, training=False, mode_at=at))

    def _try(self, statement: Try) -> bool:
        before = self.point()
        catching = int(bool(statement.handlers))
        self.branches += catching
        reached = self.block(statement.body)
        during = self.join([before, self.point()])
        reached = reached and self.block(statement.otherwise)
        ends = [self.point()] if reached else []
        for handler in statement.handlers:
            self.resume(during)
            if self.block(handler):
                ends.append(self.point())
        if len(ends) == 1 + len(statement.handlers):
            self.branches -= catching
        if ends:
            self._arrive(ends)
        else:
            self.resume(during)
        return self.block(statement.final) and bool(ends)


def _given_up(point: Point) -> Point:
    return Point({name: elsewhere(value) for name, value in point.env.items()}, point.epoch)


def _is_parameter(element: Value) -> bool:
    """Whether a loop goes over parameters, perhaps over those of two modules side by side, or with their numbers."""
    if element.kind != "container":
        return element.kind == "parameters"
    kinds = {item.kind for item in element.items or ()}
    return "parameters" in kinds and kinds <= {"parameters", "number"}


def run(flows: Flows, flow: Flow) -> None:
    """Run one function's body and leave the result in ``flow``."""
    Run(flows, flow).run()
