"""What speaks for a forward being inference, and what against: evidence, counted.

Each cue that speaks for inference carries points and a sentence for the user. A forward whose result is trained
on, or whose function works on gradients, is never inference, whatever its name.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from gradlint.finding import Place
from gradlint.model.code import Call, For, dotted
from gradlint.model.inference_names import (
    EVALUATION_DATA,
    GRADIENT_FILE,
    INFERENCE_FILE,
    INFERENCE_FUNCTION,
    OTHER_FRAMEWORKS,
    SERVICE_DECORATOR,
    TEST_FILE,
    TEST_FUNCTION,
    TORCH_PACKAGES,
    TORCH_WORDS,
    TRAINING_FUNCTION,
)
from gradlint.model.torch_calls import TRAINING_WORDS
from gradlint.model.traverse import parts, statements
from gradlint.project.calls import CallGraph, Edge
from gradlint.project.destiny import Destinies, Destiny
from gradlint.project.effects import GRAD, apply
from gradlint.project.flow import CallEvent, Flows
from gradlint.project.guards import returned
from gradlint.project.link import Linker
from gradlint.project.nodes import ClassNode, External, FunctionNode, ModuleNode
from gradlint.project.values import Origin, Value

ENOUGH = 3
_DETACHING = frozenset({"detach", "detach_", "data", "shape", "size", "dtype", "device"})
_SHOWN = frozenset(
    {"shape", "size", "print", "dtype", "device", "f-string", "format", "len", "dim", "ndim", "type", "=="}
)
_SMOKE = re.compile(r"^_*(test|main|demo|debug|check|smoke|example)(_|$)|_test$")
_OPTIMIZING = frozenset({"zero_grad", "step"})
_LONGEST_WAY_UP = 4  # callers of callers


@dataclass(frozen=True, slots=True)
class Cue:
    """One piece of evidence. ``place`` is None for what the user sees anyway (a name)."""

    points: int
    message: str
    place: Place | None = None


@dataclass(frozen=True, slots=True)
class Forward:
    """A forward that is inference and records a graph."""

    function: FunctionNode
    event: CallEvent
    cues: tuple[Cue, ...]
    destiny: Destiny
    caller: Edge | None


class Inference:
    """Weighs evidence for each forward of a function."""

    def __init__(
        self,
        linker: Linker,
        calls: CallGraph,
        flows: Flows,
        destinies: Destinies,
        configured: frozenset[str],
    ) -> None:
        self._linker = linker
        self._calls = calls
        self._flows = flows
        self._destinies = destinies
        self._configured = configured
        self._torch: dict[ModuleNode, bool] = {}

    def wasteful_forwards(self, function: FunctionNode) -> Iterator[Forward]:
        """The forwards of a function that record a graph which nobody will use, with the evidence."""
        if not self._may_infer(function):
            return
        flow = self._flows.flow(function)
        if self._needs_gradient(function):
            return
        for event in flow.calls.values():
            if not event.forward or not self._reached_with_grad(function, event.at):
                continue
            found = self._weigh(function, event)
            if found is not None:
                yield found

    def _weigh(self, function: FunctionNode, event: CallEvent) -> Forward | None:
        destiny = self._destinies.of(function, event.at)
        module = _module_of(event)
        if destiny.trained or self._meets_numpy(function, event, module):
            return None
        if self._joined(function, module, "frozen") or self._derives(module):
            return None
        if any(argument.value.requires_grad for argument in event.arguments):
            return None
        if self._is_smoke_test(function, module, destiny):
            return None
        cues = (*self._cues(function, event, module, destiny),)
        if sum(cue.points for cue in cues) < ENOUGH:
            return None
        return Forward(function, event, cues, destiny, self._unguarded_caller(function))

    def _is_smoke_test(self, function: FunctionNode, module: Value, destiny: Destiny) -> bool:
        """A fresh model run once to see that it runs: only its output's shape is looked at, nothing is evaluated."""
        shown = {detail for _, detail in destiny.reads} <= _SHOWN and not destiny.unknown
        scripted = function.is_module_body or _SMOKE.search(function.facts.name) is not None
        return shown and scripted and module.training is not False and not destiny.dropped

    def _derives(self, module: Value) -> bool:
        """Whether the module takes derivatives in its own forward, as models of energies and forces do."""
        if isinstance(module.target, ClassNode):
            classes = [a for a in self._linker.ancestors(module.target) if isinstance(a, ClassNode)]
            return any(cls in self._deriving_modules for cls in classes)
        return module.certainty != "known" and bool(self._deriving_modules)

    @cached_property
    def _deriving_modules(self) -> frozenset[ClassNode]:
        """The project's modules whose ``forward`` calls ``autograd.grad`` (or has a submodule that does)."""
        return frozenset(
            cls
            for module in self._linker.modules
            for cls in module.classes
            if (forward := cls.method("forward")) is not None
            and any(
                name.callee.endswith(("autograd.grad", ".grad")) or name.callee == "grad"
                for name in forward.facts.calls
            )
            and self._calls.modules.is_module_class(cls)
        )

    def _meets_numpy(self, function: FunctionNode, event: CallEvent, module: Value) -> bool:
        """Whether the result becomes an array as it is, which raises for a graph.

        Whoever runs such code has a guard that we do not see, or a model of another kind.
        """
        uses = self._flows.flow(function).uses.get(Origin(function, event.at), ())
        guessed = module.certainty == "named"
        return any(use.detail == "numpy" or (guessed and use.detail.startswith("numpy.")) for use in uses)

    # What a function must be

    def _may_infer(self, function: FunctionNode) -> bool:
        facts = function.facts
        if facts.is_lambda or not facts.calls or not self.uses_torch(function.module):
            return False
        if facts.name in ("training_step", "configure_optimizers", "backward") or self._is_forward(function):
            return False
        tests = TEST_FILE.search(function.module.path) is not None and TEST_FUNCTION.search(facts.name) is not None
        return not tests and not self._is_part_of_forward(function)

    def _is_forward(self, function: FunctionNode) -> bool:
        named = function.facts.name.startswith("forward")
        return named and (function.owner is None or self._calls.modules.is_module_class(function.owner))

    def _is_part_of_forward(self, function: FunctionNode, depth: int = 0) -> bool:
        """Whether a method of a module is called by a ``forward``: training runs it as well."""
        if function.owner is None or not self._calls.modules.is_module_class(function.owner) or depth > _LONGEST_WAY_UP:
            return False
        callers = [edge.caller for edge in self._calls.callers.get(function, ()) if edge.certain]
        return any(self._is_forward(c) or self._is_part_of_forward(c, depth + 1) for c in callers if c is not function)

    def uses_torch(self, module: ModuleNode) -> bool:
        """Whether a module works with torch: it imports it, or a module of the project that does."""
        if module not in self._torch:
            self._torch[module] = False
            self._torch[module] = self._imports_torch(module)
        return self._torch[module]

    def _imports_torch(self, module: ModuleNode) -> bool:
        roots: set[str] = set()
        inner: list[ModuleNode] = []
        for function in module.functions:
            for found in function.facts.imports:
                target = self._linker.imported(module, found)
                if isinstance(target, External):
                    roots.add(target.name.partition(".")[0])
                elif target is not None:
                    inner.append(target if isinstance(target, ModuleNode) else target.module)
        if roots & TORCH_PACKAGES:
            return True
        if roots & OTHER_FRAMEWORKS:
            return False
        spoken = any(not TORCH_WORDS.isdisjoint(function.facts.words) for function in module.functions)
        return spoken or any(self.uses_torch(other) for other in inner)

    def _needs_gradient(self, function: FunctionNode) -> bool:
        """Whether the function, or one it is nested in, takes a derivative by hand."""
        scope: FunctionNode | None = function
        while scope is not None and (scope is function or not scope.is_module_body):
            flow = self._flows.flow(scope)
            # A training script makes leaves of its own (a temperature, a latent); elsewhere one is the input.
            wanted = flow.leaf_at is not None and _OPTIMIZING.isdisjoint(scope.facts.words)
            if flow.gradient_at is not None or wanted:
                return True
            scope = scope.parent
        return False

    def _reached_with_grad(self, function: FunctionNode, at: int) -> bool:
        """Whether a point really runs with grad on.

        Where some callers hold a guard, an unguarded one counts only if the project itself gets there: a method
        that nobody calls, or that only its name connects, is no reason to doubt the guard.
        """
        states = self._calls.states_at(function, at)
        if not states & GRAD or states == GRAD:
            return states == GRAD
        return bool(apply(self._calls.effect_at(function, at), GRAD) & GRAD) and self._is_live(function, frozenset())

    def _is_live(self, function: FunctionNode, seen: frozenset[FunctionNode]) -> bool:
        if function.is_module_body:
            return True
        callers = self._calls.callers.get(function, ())
        if not callers and function.owner is None:
            return self._is_inference_name(function) and "eval" in function.facts.words
        return any(
            edge.certain
            and edge.caller not in seen
            and self._calls.states_of_edge(edge, self._calls.entry(edge.caller)) & GRAD
            and self._is_live(edge.caller, seen | {function})
            for edge in callers
        )

    # Cues

    def _cues(self, function: FunctionNode, event: CallEvent, module: Value, destiny: Destiny) -> Iterator[Cue]:
        yield from self._mode_cues(function, event, module)
        yield from self._name_cues(function, destiny)
        yield from self._data_cues(function)
        yield from self._destiny_cues(function, event, module, destiny)
        yield from self._loop_cues(function, event)
        yield from self._caller_cues(function)

    def _mode_cues(self, function: FunctionNode, event: CallEvent, module: Value) -> Iterator[Cue]:
        training, at = module.training, module.mode_at
        if training is None and module.parameter is not None:
            training, at = self._joined_mode(function, module)
        if training is None and at is None and event.evaluating is not None:
            training, at = False, event.evaluating
        if training is False and at is not None:
            where, node = at
            near = where is function
            yield Cue(
                3 if near else 2,
                "evaluation mode is set here; it does not turn recording off",
                where.place(node),
            )
        elif training is True:
            yield Cue(-2, "")
        if module.certainty == "named":
            yield Cue(-1, "")

    def _joined_mode(
        self, function: FunctionNode, module: Value
    ) -> tuple[bool | None, tuple[FunctionNode, int] | None]:
        found = self._handed(function, module)
        modes = {value.training for value in found}
        if modes == {False}:
            return False, found[0].mode_at
        return None, None

    def _joined(self, function: FunctionNode, module: Value, field: str) -> bool:
        if getattr(module, field) is not None:
            return bool(getattr(module, field))
        found = self._handed(function, module)
        return bool(found) and all(bool(getattr(value, field)) for value in found)

    def _handed(self, function: FunctionNode, module: Value, depth: int = 0) -> list[Value]:
        """What the callers hand over for the parameter that a module came in by."""
        name = module.parameter
        if name is None or depth > _LONGEST_WAY_UP:
            return []
        found: list[Value] = []
        for edge in self._calls.callers.get(function, ()):
            value = self._flows.argument(self._flows.flow(edge.caller), edge.at, name, function)
            deeper = self._handed(edge.caller, value, depth + 1) if value.training is None else []
            found.extend(deeper or [value])
        return found

    def _name_cues(self, function: FunctionNode, destiny: Destiny) -> Iterator[Cue]:
        name = function.facts.name
        if name in self._configured or function.name in self._configured:
            yield Cue(ENOUGH, f"the configuration names `{name}` an inference function")
        if TRAINING_FUNCTION.search(name):
            yield Cue(0 if destiny.only_read else -2, "")
        elif not function.is_module_body and INFERENCE_FUNCTION.search(name):
            yield Cue(2, f"`{name}` is called like a function that does not train")
        if GRADIENT_FILE.search(function.module.path.lower()):
            yield Cue(-3, "")
        if INFERENCE_FILE.search(function.module.path):
            yield Cue(1, "so is its file")
        scope = function.parent or function
        for decorator in function.facts.decorators:
            spelt = dotted(decorator.function if isinstance(decorator, Call) else decorator)
            if spelt is not None and SERVICE_DECORATOR.search(spelt):
                yield Cue(2, f"`@{spelt}` makes it answer requests", scope.place(decorator.at))

    def _data_cues(self, function: FunctionNode) -> Iterator[Cue]:
        for statement in statements(function.facts.body):
            if isinstance(statement, For):
                iterable = statement.iterable
                while isinstance(iterable, Call) and iterable.arguments:
                    iterable = iterable.arguments[0].value
                name = dotted(iterable)
                if name is not None and EVALUATION_DATA.search(name.lower()):
                    yield Cue(1, f"`{name}` is data to evaluate on", function.place(statement.iterable.at))
                    return

    def _destiny_cues(self, function: FunctionNode, event: CallEvent, module: Value, destiny: Destiny) -> Iterator[Cue]:
        trains = not TRAINING_WORDS.isdisjoint(function.facts.words)
        # In a training step a detached result may still be a target: that is wasted work, but not inference.
        reads = [read for read in destiny.reads if not trains or read[1] not in _DETACHING]
        if destiny.only_read and reads:
            where, how = reads[-1]
            yield Cue(3, f"only numbers are taken from the result ({_how(how)})", where)
            return
        if destiny.dropped and event.result.items is not None:
            yield Cue(
                3,
                "nothing is done with the part of the result that carries the graph",
                function.place(event.at),
            )
            return
        if destiny.unknown or destiny.stored or (destiny.only_read and trains):
            yield Cue(-1, "")
            if function.owner is not None and self._calls.modules.is_module_class(function.owner):
                yield Cue(-1, "")
        if trains and module.training is not False:
            yield Cue(-2, "")
        if destiny.returned and module.training is not False and _returns_loss(function):
            yield Cue(-3, "")

    def _loop_cues(self, function: FunctionNode, event: CallEvent) -> Iterator[Cue]:
        """``x = step(model(x))`` in a loop: what was computed goes in again, as in sampling and decoding."""
        own = Origin(function, event.at)
        if event.in_loop and any(own in argument.value.origins for argument in event.arguments):
            in_module = function.owner is not None and self._calls.modules.is_module_class(function.owner)
            if self._is_inference_name(function) and not function.is_module_body:
                yield Cue(
                    1 if in_module else 3, "its result goes into it again, step by step", function.place(event.at)
                )

    def _caller_cues(self, function: FunctionNode) -> Iterator[Cue]:
        callers = self._calls.callers.get(function, [])
        if callers and all(self._is_inference_name(edge.caller) for edge in callers):
            edge = callers[0]
            yield Cue(1, f"it is only called by code that does not train, such as `{edge.caller.name}`", edge.place)
        elif any(TRAINING_FUNCTION.search(edge.caller.facts.name) for edge in callers):
            yield Cue(-1, "")

    def _is_inference_name(self, function: FunctionNode) -> bool:
        if function.is_module_body:
            return INFERENCE_FILE.search(function.module.path) is not None
        name = function.facts.name
        return INFERENCE_FUNCTION.search(name) is not None and TRAINING_FUNCTION.search(name) is None

    def _unguarded_caller(self, function: FunctionNode) -> Edge | None:
        """A caller that reaches the function with grad on."""
        for edge in self._calls.callers.get(function, ()):
            if self._calls.states_of_edge(edge, self._calls.entry(edge.caller)) & GRAD:
                return edge
        return None


def _module_of(event: CallEvent) -> Value:
    if event.callee.kind == "module":
        return event.callee
    if event.receiver is not None and event.receiver.kind in ("module", "self"):
        return event.receiver
    return next((a.value for a in event.arguments if a.value.kind == "module"), event.callee)


def _how(detail: str) -> str:
    return f"`.{detail}`" if detail.isidentifier() else f"`{detail}`"


def _returns_loss(function: FunctionNode) -> bool:
    """Whether what a function returns is called a loss."""
    names = (dotted(part) or "" for value in returned(function) for part in (value, *parts(value)))
    return any("loss" in name.rpartition(".")[2].lower() for name in names)
