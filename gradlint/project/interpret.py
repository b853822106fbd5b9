"""The abstract run over statements. Expressions are in :mod:`evaluate`, calls in :mod:`invoke`."""

from dataclasses import replace

from gradlint.model.code import (
    Assign,
    Attribute,
    Augment,
    Block,
    Constant,
    DefineClass,
    DefineFunction,
    Delete,
    Display,
    Evaluate,
    Expression,
    For,
    If,
    ImportName,
    Jump,
    Name,
    Operation,
    Raise,
    Return,
    Statement,
    Subscript,
    Switch,
    Try,
    While,
    With,
    dotted,
)
from gradlint.project import evaluate
from gradlint.project.effects import GRAD
from gradlint.project.flow import AttributeEvent, Flow, Flows
from gradlint.project.nodes import FunctionNode
from gradlint.project.values import NUMBER, Origin, Value, meet, plain

Env = dict[str, Value]


class Run:
    """One abstract run over one function."""

    def __init__(self, flows: Flows, flow: Flow) -> None:
        self.flows = flows
        self.flow = flow
        self.function: FunctionNode = flow.function
        self.env: Env = flow.env
        self.backward_seen = False
        self.loops = 0
        self.not_none: frozenset[str] = frozenset()  # dotted names tested against None here
        self._exits: list[Env] = []
        for index, parameter in enumerate(self.function.facts.parameters):
            self.env[parameter.name] = self._parameter(index, parameter.name)

    def _parameter(self, index: int, name: str) -> Value:
        if index == 0 and name == "self" and self.function.owner is not None:
            return Value("self", parameter="self", target=self.function.owner)
        origins = frozenset({Origin(self.function, -index - 1)})
        calls = self.flows.calls
        owner = self.function.owner
        if index == 0 and name == "cls" and owner is not None:
            return Value("callable", target=owner)
        if name != "self" and (cls := calls.class_of(self.function, name)) is not None:
            if calls.is_module_class(cls):
                return Value("module", target=cls, certainty="known", parameter=name)
            return Value(origins=origins, target=cls, parameter=name)
        return Value(origins=origins, parameter=name)

    def records(self, at: int) -> bool | None:
        """Whether operations at a place record a graph: by the states it may run in."""
        states = self.flows.calls.states_at(self.function, at)
        return True if states == GRAD else None if states & GRAD else False

    # Statements

    def run(self) -> None:
        """Run the whole body."""
        last = self.block(self.function.facts.body)
        ends = [*self._exits, *([self.env] if last else [])]
        merged = ends[0] if ends else self.env
        for end in ends[1:]:
            merged = meet_envs(merged, end)
        self.flow.env = merged

    def block(self, block: Block) -> bool:
        """Run a block; whether its end is reached."""
        return all(self.statement(statement) for statement in block)

    def statement(self, statement: Statement) -> bool:
        """Run one statement; whether the next one is reached."""
        match statement:
            case Evaluate(value=value):
                evaluate.value_of(value, self)
            case Assign(targets=targets, value=value):
                found = evaluate.value_of(value, self)
                for target in targets:
                    self.bind(target, found)
            case Augment():
                self._augment(statement)
            case Return(value=value):
                self._return(value, statement.at)
                return False
            case Raise(value=value):
                if value is not None:
                    evaluate.value_of(value, self)
                return False
            case Jump():
                return False
            case If():
                return self._if(statement)
            case For(target=target, iterable=iterable, body=body, otherwise=otherwise):
                self._for(target, iterable, body)
                return self.block(otherwise)
            case While(test=test, body=body, otherwise=otherwise):
                evaluate.value_of(test, self)
                self._loop(body)
                forever = isinstance(test, Constant) and bool(test.value)
                return self.block(otherwise) if not forever else True
            case With(items=items, body=body):
                for item in items:
                    entered = evaluate.value_of(item.context, self)
                    if item.target is not None:
                        self.bind(item.target, plain(entered.origins))
                return self.block(body)
            case Try():
                return self._try(statement)
            case Switch(subject=subject, cases=cases):
                evaluate.value_of(subject, self)
                self._branches([*cases, ()])
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
            case ImportName():
                pass
        return True

    def _return(self, value: Expression | None, at: int) -> None:
        found = evaluate.value_of(value, self) if value is not None else Value("none")
        self.flow.used(found.origins, "returned", at)
        self.flow.returns = found if self.flow.returns is None else meet(self.flow.returns, found)
        self._exits.append(dict(self.env))

    def _if(self, statement: If) -> bool:
        evaluate.value_of(statement.test, self)
        tested = evaluate.tested_against_none(statement.test)
        before, known = dict(self.env), self.not_none
        seen = self.backward_seen
        self.not_none = known | tested
        yes = self.block(statement.then)
        after_yes, seen_yes = self.env, self.backward_seen
        self.env, self.not_none, self.backward_seen = before, known, seen
        no = self.block(statement.otherwise)
        self.backward_seen = self.backward_seen or seen_yes
        if not yes:  # ``if x.grad is None: return`` protects what follows
            self.not_none |= tested
        if yes and no:
            self.env = meet_envs(after_yes, self.env)
        elif yes:
            self.env = after_yes
        return yes or no

    def _branches(self, blocks: list[Block]) -> None:
        before = self.env
        merged: Env | None = None
        for block in blocks:
            self.env = dict(before)
            if self.block(block):
                merged = self.env if merged is None else meet_envs(merged, self.env)
        self.env = merged if merged is not None else before

    def _for(self, target: Expression, iterable: Expression, body: Block) -> None:
        found = evaluate.value_of(iterable, self)
        element = evaluate.element_of(found, iterable, self)
        self.bind(target, element)
        before = dict(self.env)
        self.loops += 1
        for _ in range(2):
            self.bind(target, element)
            self.block(body)
            if element.kind != "parameters":  # a module has parameters: such a loop runs
                self.env = meet_envs(before, self.env)
        self.loops -= 1

    def _loop(self, body: Block) -> None:
        before = dict(self.env)
        self.loops += 1
        for _ in range(2):
            self.block(body)
            self.env = meet_envs(before, self.env)
        self.loops -= 1

    def _try(self, statement: Try) -> bool:
        before = dict(self.env)
        reached = self.block(statement.body) and self.block(statement.otherwise)
        ends: list[Env] = [self.env] if reached else []
        during = meet_envs(before, self.env)
        for handler in statement.handlers:
            self.env = dict(during)
            if self.block(handler):
                ends.append(self.env)
        self.env = ends[0] if ends else during
        for end in ends[1:]:
            self.env = meet_envs(self.env, end)
        return self.block(statement.final) and bool(ends)

    # Binding

    def bind(self, target: Expression, value: Value) -> None:
        """Give a target a value."""
        match target:
            case Name(id=name):
                self.forget(name)
                self.env[name] = value
                if name in self.function.facts.shared:
                    self.flow.used(value.origins, "stored", target.at, name)
            case Display(items=items):
                for index, item in enumerate(items):
                    self.bind(item, evaluate.item_of(value, index, len(items)))
            case Operation(operator="*", operands=(inner,)):
                self.bind(inner, plain(value.origins))
            case Attribute(value=owner, name=name):
                self._bind_attribute(target, owner, name, value)
            case Subscript(value=container):
                self._bind_item(container, value, target.at)
            case _:
                pass

    def _bind_attribute(self, target: Attribute, owner: Expression, name: str, value: Value) -> None:
        holder = evaluate.value_of(owner, self)
        path = dotted(target)
        self._note_attribute(target, name, holder, path, value)
        if name == "requires_grad":
            self._set_requires_grad(holder, value, target.at, dotted(owner))
            return
        if path is None:
            return
        self.forget(path)
        self.env[path] = value
        self.flow.used(value.origins, "stored", target.at, path)

    def _note_attribute(self, target: Attribute, name: str, holder: Value, path: str | None, value: Value) -> None:
        self.flow.attributes[(target.at, True)] = AttributeEvent(
            target.at, name, holder, path, value, self.backward_seen, False, False
        )

    def _set_requires_grad(self, holder: Value, value: Value, at: int, path: str | None) -> None:
        if holder.kind == "parameters":
            self.mark_frozen(holder.of, value.constant is False)
        elif holder.kind != "module" and value.constant is True and holder.origins is not None:
            self.note_leaf(at)
            if path is not None:
                self.env[path] = replace(holder, requires_grad=True, leaf=True if holder.leaf is not False else None)

    def _bind_item(self, container: Expression, value: Value, at: int) -> None:
        path = dotted(container)
        held = evaluate.value_of(container, self)
        if path is not None:
            self.hold(path, held, value, at)

    def hold(self, path: str, held: Value, value: Value, at: int) -> None:
        """Put a value into a container that a dotted name holds."""
        if held.kind in ("module", "array", "optimizer"):
            return
        self.env[path] = Value("container", origins=held.origins | value.origins, parameter=held.parameter)
        root = path.partition(".")[0]
        if "." in path or root not in self.function.facts.local or held.parameter is not None:
            self.flow.used(value.origins, "stored", at, path)

    def forget(self, name: str | None) -> None:
        """Drop what was known of a name and of everything below it."""
        if name is None:
            return
        self.env.pop(name, None)
        prefix = name + "."
        for known in [key for key in self.env if key.startswith(prefix)]:
            del self.env[known]

    def mark_frozen(self, path: str | None, frozen: bool) -> None:
        """Note that all parameters of a module were (un)frozen."""
        if path is not None and path in self.env:
            self.env[path] = replace(self.env[path], frozen=frozen)
        elif path is not None:
            self.env[path] = Value("module", frozen=frozen, certainty="used")

    def replace_everywhere(self, old: Value, new: Value) -> None:
        """A module changed in place: every name that holds it sees it."""
        for name, value in list(self.env.items()):
            if value is old:
                self.env[name] = new

    def note_leaf(self, at: int) -> None:
        """Note that the function asks for the gradient of something that is no parameter."""
        if self.flow.leaf_at is None:
            self.flow.leaf_at = at

    def note_gradient(self, at: int) -> None:
        """Note that the function takes a derivative by hand."""
        self.flow.derives = True
        if self.flow.gradient_at is None:
            self.flow.gradient_at = at

    def _augment(self, statement: Augment) -> None:
        added = evaluate.value_of(statement.value, self)
        path = dotted(statement.target)
        held = evaluate.value_of(statement.target, self)
        if path is None:
            if isinstance(statement.target, Subscript):
                self._bind_item(statement.target.value, added, statement.at)
            return
        origins = held.origins | added.origins
        plain_numbers = held.kind == added.kind == "number"
        self.env[path] = NUMBER if plain_numbers and not origins else plain(origins)
        if "." in path or path in self.function.facts.shared:
            self.flow.used(added.origins, "stored", statement.at, path)


def meet_envs(left: Env, right: Env) -> Env:
    """What two paths agree on. A name that one path does not know keeps the other's value, as Python would."""
    if left is right:
        return left
    merged = dict(left)
    for name, value in right.items():
        known = left.get(name)
        merged[name] = value if known is None or known is value else meet(known, value)
    return merged


def run(flows: Flows, flow: Flow) -> None:
    """Run one function's body and leave the result in ``flow``."""
    Run(flows, flow).run()
