"""Parts of a module that are made to be trained with it, and that its methods only run where nothing is recorded."""

import re
from collections.abc import Iterator

from gradlint.finding import Place
from gradlint.model.code import (
    Argument,
    Attribute,
    Call,
    Comprehension,
    Constant,
    Display,
    Expression,
    For,
    Name,
    dotted,
)
from gradlint.model.facts import CallFact
from gradlint.model.record import answer
from gradlint.model.traverse import all_of, statements, within
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.grad_states.effects import GRAD, UNSURE
from gradlint.project.linking import scope
from gradlint.project.linking.nodes import ClassNode, External, FunctionNode
from gradlint.project.questions.optimizers import OPTIMIZER_CLASSES, Optimizer, Optimizers
from gradlint.project.running.flows import Flows

_RECORDING = GRAD | UNSURE
_TRAINED = frozenset({"forward", "training_step"})
# Whoever speaks of these has thought of who is trained; what is loaded may be meant to stay.
_MINDING = frozenset({"requires_grad", "requires_grad_", "load_state_dict", "from_pretrained", "deepcopy"})
_MEANT = re.compile(
    r"teacher|target|ema|momentum|frozen|freez|fixed|random|pretrain|percep|lpips|metric|vgg|clip|inception|judge", re.I
)
_MADE = re.compile(r"^torch(vision\.models)?\.(?!hub|load|jit)")
_SWITCHING = frozenset({"train", "eval", "to", "cuda", "cpu", "half", "float", "flatten_parameters"})
_DEEPEST = 3  # modules in modules


@answer
class GuardedPart:
    """A call of a part, by its name, under a guard, and where an optimizer is made for all of the module."""

    at: int
    part: str
    optimizer: Place


class GuardedParts:
    """Answers for one project."""

    def __init__(self, calls: CallGraph, flows: Flows, optimizers: Optimizers) -> None:
        self._calls = calls
        self._flows = flows
        self._linker = flows.linker
        self._optimizers = optimizers

    def of(self, function: FunctionNode) -> Iterator[GuardedPart]:
        """The first part that a method runs under a guard, though it is to be trained and runs nowhere else."""
        cls = function.owner
        if cls is None or all(states & _RECORDING for states in self._calls.all_own_states(function)):
            return
        if not self._calls.modules.is_module_class(cls):
            return
        for call in function.facts.calls:
            part = _part(function, call)
            if part is None or "." in part or _MEANT.search(part):
                continue
            if self._is_guarded(function, call.at) and self._is_meant_to_learn(cls, function, part):
                all_of_it = function.facts.name == "forward" and self._is_guarded(function, function.facts.at)
                found = self._optimizer_of(cls, _DEEPEST, itself=not all_of_it)
                if found is not None:
                    yield GuardedPart(call.at, f"self.{part}", found)
                    return

    def _is_guarded(self, function: FunctionNode, at: int) -> bool:
        return not self._calls.own_states(function, at) & _RECORDING

    def _is_meant_to_learn(self, cls: ClassNode, function: FunctionNode, part: str) -> bool:
        """Whether a part is made anew, is run in training, and by nobody who records or minds its flags."""
        values = self._flows.bindings.attribute(cls, part)
        if len(values) != 1 or not isinstance(values[0][1], Call) or not self._is_made_anew(*values[0]):
            return False
        family = self._family(cls)
        if any(not _MINDING.isdisjoint(method.facts.words) for method in family):
            return False
        if not any(f.facts.name in _TRAINED and f in family for f in self._calls.above(function)):
            return False
        return all(self._leaves(method, part, method in family) for method in self._linker.mentions.of(part))

    def _family(self, cls: ClassNode) -> set[FunctionNode]:
        """The methods of a class, of what it derives from, and of what derives from it."""
        classes = (*self._linker.ancestors(cls), *self._linker.subclasses.get(cls, ()))
        return {method for each in classes if isinstance(each, ClassNode) for method in each.methods}

    def _is_made_anew(self, function: FunctionNode, made: Expression) -> bool:
        """Whether a constructor makes a module with parameters of its own, which are not loaded."""
        event = self._flows.flow(function).calls.get(made.at) if function.facts.name == "__init__" else None
        value = event.result if event is not None else None
        if event is None or value is None or value.kind != "module" or value.born is None or value.frozen:
            return False
        if isinstance(value.target, ClassNode):
            return self._is_of_random_weights(value.target)
        if isinstance(value.target, External) and value.target.name == "torch.nn.ModuleList":
            items = list(_items(event.arguments[0].expression)) if len(event.arguments) == 1 else []
            return bool(items) and all(self._is_made_anew(function, item) for item in items)
        chosen = any(isinstance(a.expression, Constant) and a.expression.value is True for a in event.arguments)
        named = any(a.keyword in ("pretrained", "weights") for a in event.arguments)
        return isinstance(value.target, External) and bool(_MADE.search(value.target.name)) and not (chosen or named)

    def _is_of_random_weights(self, cls: ClassNode) -> bool:
        methods = self._family(cls)
        minded = any(not _MINDING.isdisjoint(method.facts.words) for method in methods)
        return not minded and not _MEANT.search(cls.name) and self._calls.modules.has_parameters(cls)

    def _leaves(self, function: FunctionNode, part: str, own: bool) -> bool:
        """Whether a function that says a part's name does nothing but run it under a guard, or switch its mode."""
        named = [a for a in all_of(Attribute, function.facts.body) if a.name == part]
        if not own:
            return all(dotted(each.value) == "self" and not _is_inside(function) for each in named)
        path = f"self.{part}"
        ran = [c for c in function.facts.calls if c.callee in (path, f"{path}.forward")]
        switched = [c for c in function.facts.calls if c.callee.startswith(f"{path}.") and c.method in _SWITCHING]
        bound = sum(name == path or name.startswith(f"{path}.") for name, _ in scope.assigned(function))
        loops = [(loop, name) for loop, name, each in _loops(function) if each == part]
        accounted = len(ran) + len(switched) + bound + len(loops)
        if len(named) != accounted or not all(self._is_guarded(function, call.at) for call in ran):
            return False
        return all(self._runs_guarded(function, loop, name) for loop, name in loops)

    def _runs_guarded(self, function: FunctionNode, loop: For, name: str) -> bool:
        """Whether the rounds of a loop do nothing with the part that they are about but run it under a guard."""
        used = [each for each in all_of(Name, loop.body) if each.id == name]
        ran = [call for call in all_of(Call, loop.body) if dotted(call.function) in (name, f"{name}.forward")]
        return len(used) == len(ran) and all(self._is_guarded(function, call.at) for call in ran)

    def _optimizer_of(self, cls: ClassNode, depth: int, *, itself: bool = True) -> Place | None:
        """Where an optimizer is made for all that a class's objects hold, or for all of what they are part of.

        ``itself`` is false where what runs the object can tell: all of its method is under the guard.
        """
        for word in OPTIMIZER_CLASSES if itself else ():
            for function in self._linker.mentions.of(word):
                for made in self._optimizers.made(function):
                    if self._takes_all(function, made, cls):
                        return function.place(made.event.at)
        for holder in self._holders(cls) if depth else ():
            if (found := self._optimizer_of(holder, depth - 1)) is not None:
                return found
        return None

    def _takes_all(self, function: FunctionNode, made: Optimizer, cls: ClassNode) -> bool:
        """Whether an optimizer is given all parameters of an object of a class, unfiltered."""
        for part in within(made.parameters.expression):
            if isinstance(part, Call) and dotted(part.function) == "filter":
                return False
            if isinstance(part, Call) and isinstance(part.function, Attribute) and part.function.name == "parameters":
                return self._is_of(function, dotted(part.function.value), cls)
        return False

    def _is_of(self, function: FunctionNode, owner: str | None, cls: ClassNode) -> bool:
        """Whether a name stands for an object of a class, as far as is seen."""
        if owner == "self":
            return function.owner is not None and cls in self._linker.ancestors(function.owner)
        found = self._flows.flow(function).env.get(owner or "")
        values = [found] if found is not None else []
        if found is not None and found.parameter is not None:
            values += [value for _, value in self._flows.handed_over(function, found.parameter)]
        targets = [value.target for value in values]
        return any(isinstance(target, ClassNode) and cls in self._linker.ancestors(target) for target in targets)

    def _holders(self, cls: ClassNode) -> Iterator[ClassNode]:
        """The classes of modules whose constructors make objects of a class."""
        constructor = self._linker.find_method(cls, "__init__")
        for edge in self._calls.callers.get(constructor, ()) if constructor is not None else ():
            caller = edge.caller
            if caller.facts.name == "__init__" and self._calls.modules.has_method(caller) and caller.owner is not None:
                yield caller.owner


def _part(function: FunctionNode, call: CallFact) -> str | None:
    """The part that a call runs: ``self.body(x)``, or ``block(x)`` in a loop over ``self.blocks``."""
    called = call.callee.removesuffix(".forward")
    if called.startswith("self."):
        return called.removeprefix("self.")
    looped = (part for loop, name, part in _loops(function) if name == called and call.at in scope.places_of(loop.body))
    return next(looped, None)


def _loops(function: FunctionNode) -> Iterator[tuple[For, str, str]]:
    """The loops over the items of a part, each with the name of an item: ``for block in self.blocks``."""
    for statement in statements(function.facts.body):
        match statement:
            case For(target=Name(id=name), iterable=Attribute(value=Name(id="self"), name=part)):
                yield statement, name, part
            case For(
                target=Display(items=(_, Name(id=name))),
                iterable=Call(
                    function=Name(id="enumerate"),
                    arguments=(Argument(value=Attribute(value=Name(id="self"), name=part)),),
                ),
            ):
                yield statement, name, part
            case _:
                pass


def _items(given: Expression) -> Iterator[Expression]:
    """What a list is made of: its items, or what a comprehension makes in each round."""
    match given:
        case Display(items=items):
            yield from items
        case Comprehension(element=element, kind="list" | "generator"):
            yield element
        case _:
            pass


def _is_inside(function: FunctionNode) -> bool:
    """Whether a function is nested in a method, whose ``self`` it sees."""
    return function.owner is None
