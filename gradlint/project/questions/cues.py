"""The single cues that speak for a forward being inference, or against it."""

import re
from collections.abc import Collection, Iterator

from gradlint.finding import Place
from gradlint.model.code import Call, Constant, Expression, For, Subscript, dotted
from gradlint.model.inference_names import (
    EVALUATION_DATA,
    GRADIENT_FILE,
    INFERENCE_CLASS,
    INFERENCE_FILE,
    INFERENCE_FUNCTION,
    SERVICE_DECORATOR,
    TRAINING_FUNCTION,
)
from gradlint.model.record import answer
from gradlint.model.torch_calls import DETACHING_METHODS, LOOKING, READING_ATTRIBUTES, READING_METHODS, TRAINING_WORDS
from gradlint.model.traverse import statements
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.linking import rounds, scope
from gradlint.project.linking.bindings import Bindings
from gradlint.project.linking.nodes import ClassNode, External, FunctionNode
from gradlint.project.linking.returns import returns_loss
from gradlint.project.questions.destiny import Destiny, becomes_array
from gradlint.project.questions.handed import Handed
from gradlint.project.questions.own_models import loaded_for_itself
from gradlint.project.questions.phases import Phase
from gradlint.project.running.flow import CallEvent
from gradlint.project.running.flows import Flows
from gradlint.project.running.values import Origin, Value, is_packed

ENOUGH = 3
_DETACHING = frozenset({"detach", "detach_", "data", "shape", "size", "dtype", "device"})
_DETACHED = frozenset({"detach", "detach_", "data"})
_ON_TENSORS = DETACHING_METHODS | READING_METHODS | READING_ATTRIBUTES | _DETACHED
_SIZES = frozenset({"shape", "size", "ndim", "dim", "numel", "stride"})
_WARMING_UP = re.compile(r"(^|_)(warm_?up|dry_?run)(_|$)", re.I)
_MEASURING = re.compile(  # ``calibrate``, ``update_bn``, ``recompute_running_stats``: modules and hooks see the data
    r"(^|_)calibrat\w*(_|$)"
    r"|(^|_)((re)?comput\w*|(re)?estimat\w*|updat\w*|reset\w*|refresh\w*|overwrite|collect\w*|precise)_(\w+_)?"
    r"(bn|batch_?norms?|stat(istic)?s)(_|$)",
    re.I,
)


@answer
class Cue:
    """One piece of evidence.

    Negative points speak against inference and have no message; ``place`` is None for what the user sees anyway.
    ``by_name``: it is what functions and files are called, and little that they do.
    """

    points: int
    message: str = ""
    place: Place | None = None
    by_name: bool = False


class Cues:
    """Collects the evidence about one forward."""

    def __init__(
        self, bindings: Bindings, calls: CallGraph, flows: Flows, handed: Handed, configured: frozenset[str]
    ) -> None:
        self._bindings = bindings
        self._calls = calls
        self._flows = flows
        self._handed = handed
        self._configured = configured

    def of(
        self, function: FunctionNode, event: CallEvent, module: Value, destiny: Destiny, phase: Phase | None = None
    ) -> Iterator[Cue]:
        """All evidence about one forward; ``phase`` leaves out the training around it."""
        apart = _is_loop_of_its_own(function, event, module) or self.evaluates_apart(function, event)
        trains = not apart and not TRAINING_WORDS.isdisjoint(function.facts.words)
        yield from self._mode_cues(function, event, module, destiny, trains=trains)
        if phase is None:
            yield from self._name_cues(function, destiny, apart=apart)
        else:
            yield Cue(1, phase.message, phase.place)
        yield from self._data_cues(function)
        yield from _own_model_cues(function, event, destiny)
        taught = module.training is not False or _is_in_loop_that_trains(function, event, module)
        stepping = trains and phase is None and taught
        yield from self._destiny_cues(function, event, module, destiny, trains=stepping)
        yield from self._loop_cues(function, event)
        yield from self._caller_cues(function, destiny)

    def _mode_cues(
        self, function: FunctionNode, event: CallEvent, module: Value, destiny: Destiny, *, trains: bool
    ) -> Iterator[Cue]:
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
        elif training is True and (trains or not (destiny.only_read or destiny.dropped)):
            yield Cue(-2)
        loaded = isinstance(module.target, External)  # by ``torch.load``
        if module.certainty == "named" and module.parameter is None and "." not in event.name and not loaded:
            yield Cue(-1)  # a variable made by who knows what, called like a model

    def _joined_mode(
        self, function: FunctionNode, module: Value
    ) -> tuple[bool | None, tuple[FunctionNode, int] | None]:
        found = self._handed.values(function, module)
        modes = {value.training for value in found}
        if modes == {False}:
            return False, found[0].mode_at
        return None, None

    def is_frozen(self, function: FunctionNode, module: Value) -> bool:
        """Whether a module is known to be frozen, here or by every caller that hands it over."""
        if module.frozen is not None:
            return module.frozen
        if module.kind == "self" and self._has_nothing_to_train(module):
            return True
        return self._handed.is_frozen(function, module)

    def _has_nothing_to_train(self, module: Value) -> bool:
        """Whether a module runs itself that has no parameters: a loss, say."""
        modules, cls = self._calls.modules, module.target
        return isinstance(cls, ClassNode) and modules.is_module_class(cls) and not modules.may_have_parameters(cls)

    def _name_cues(self, function: FunctionNode, destiny: Destiny, *, apart: bool) -> Iterator[Cue]:
        name = function.facts.name
        if name in self._configured or function.name in self._configured:
            yield Cue(ENOUGH, f"the configuration names `{name}` an inference function")
        if TRAINING_FUNCTION.search(name):
            yield Cue(0 if destiny.only_read or destiny.dropped or apart else -2)
        elif not function.is_module_body and INFERENCE_FUNCTION.search(name):
            yield Cue(2, f"`{name}` is called like a function that does not train", by_name=True)
        elif destiny.dropped and _WARMING_UP.search(name):
            yield Cue(1, f"`{name}` runs it for its own sake")
        elif self._is_of_inference_class(function):
            yield Cue(2, f"`{function.name}` is that of a class called like one that does not train", by_name=True)
        if GRADIENT_FILE.search(function.module.path.lower()) and not destiny.only_read:
            yield Cue(-3)
        if INFERENCE_FILE.search(function.module.path):
            yield Cue(1, "so is its file", by_name=True)
        outer = function.parent or function
        for decorator in function.facts.decorators:
            spelt = dotted(decorator.function if isinstance(decorator, Call) else decorator)
            if spelt is not None and SERVICE_DECORATOR.search(spelt):
                yield Cue(2, f"`@{spelt}` makes it answer requests", outer.place(decorator.at))

    def _data_cues(self, function: FunctionNode) -> Iterator[Cue]:
        for statement in statements(function.facts.body):
            if isinstance(statement, For):
                for name in self._iterated(function, statement.iterable):
                    if EVALUATION_DATA.search(name.lower()):
                        points = 2 if self.is_inference_name(function) else 1
                        yield Cue(points, f"`{name}` is data to evaluate on", function.place(statement.iterable.at))
                        return

    def validates_apart(self, function: FunctionNode, event: CallEvent, module: Value) -> bool:
        """Whether a model in evaluation mode runs over data to evaluate on, in a loop that trains nothing."""
        return _is_loop_of_its_own(function, event, module) and any(self._data_cues(function))

    def evaluates_apart(self, function: FunctionNode, event: CallEvent) -> bool:
        """Whether a function that trains runs a forward over data to evaluate on, in a loop that trains nothing."""
        if TRAINING_WORDS.isdisjoint(function.facts.words):
            return False
        loops = self._loops_over_evaluation_data(function, event.at)
        return any(not _trains_in(function, frozenset(scope.places_of(loop.body))) for loop in loops)

    def is_over_evaluation_data(self, function: FunctionNode, at: int) -> bool:
        """Whether a place stands in a loop over data to evaluate on."""
        return any(self._loops_over_evaluation_data(function, at))

    def _loops_over_evaluation_data(self, function: FunctionNode, at: int) -> Iterator[For]:
        for loop in rounds.loops_around(function, at):
            if any(EVALUATION_DATA.search(name.lower()) for name in self._iterated(function, loop.iterable)):
                yield loop

    def _iterated(self, function: FunctionNode, iterable: Expression) -> Iterator[str]:
        """The names of what a loop goes over, under ``tqdm(enumerate(...))`` and through one variable."""
        for _ in range(2):
            iterable = rounds.iterated(iterable)
            name = _spelt(iterable)
            if name is None:
                return
            yield name
            assigned = self._bindings.assigned(function).get(name, ())
            if len(assigned) != 1:
                return
            iterable = assigned[0]

    def _destiny_cues(
        self, function: FunctionNode, event: CallEvent, module: Value, destiny: Destiny, *, trains: bool
    ) -> Iterator[Cue]:
        # In a training step a detached result may still be a target: that is wasted work, but not inference.
        reads = [read for read in destiny.reads if not trains or read[1] not in _DETACHING]
        if trains and not destiny.returned and not _DETACHED.isdisjoint(how for _, how in destiny.reads):
            reads = [read for read in reads if read[1] != "indices"]  # ``target(x).max(1)[0].detach()``
        measured = not destiny.returned and {how for _, how in reads} <= _SIZES  # a dry run, to see what comes out
        values = [read for read in reads if measured or read[1] not in LOOKING]
        if destiny.returned:  # what numpy takes as it is, far from here, has no graph, or is something else by then
            values = [read for read in values if not becomes_array(read[1])]
        if destiny.only_read and values:
            where, how = values[-1]
            yield Cue(3, f"{_taken(how)} ({_how(how)})", where)
            return
        in_parts = destiny.dropped and event.result.items is not None
        unpacked = in_parts and event.at not in scope.standing_alone(function)  # not run for what it leaves behind
        if unpacked and not any(map(is_packed, event.result.items or ())):
            yield Cue(
                3,
                "nothing is done with the part of the result that carries the graph",
                function.place(event.at),
            )
            return
        if destiny.dropped and event.in_loop and not trains and _MEASURING.search(function.facts.name):
            yield Cue(3, "it runs for statistics alone: nothing is done with its result", function.place(event.at))
            return
        only_looked_at = destiny.only_read and not values  # what its values are for, we have not seen
        if destiny.unknown or destiny.stored or only_looked_at or (destiny.only_read and trains):
            yield Cue(-1)
            if self._calls.modules.has_method(function):
                yield Cue(-1)
        if trains:
            yield Cue(-2)
        if destiny.returned and module.training is not False and returns_loss(function):
            yield Cue(-3)

    def _loop_cues(self, function: FunctionNode, event: CallEvent) -> Iterator[Cue]:
        """``x = step(model(x))`` in a loop: what was computed goes in again, as in sampling and decoding."""
        own = Origin(function, event.at)
        if (
            event.in_loop
            and not _is_of_loop(function, event)
            and any(own in argument.value.origins for argument in event.arguments)
        ):
            helper = self._is_method_of_no_module(event) or self._calls.modules.has_method(function)
            if self.is_inference_name(function) and not function.is_module_body:
                message = "its result goes into it again, step by step"
                yield Cue(1 if helper else 3, message, function.place(event.at), by_name=helper)

    def _is_method_of_no_module(self, event: CallEvent) -> bool:
        """Whether an object calls a method of its own that runs a module: what a solver iterates goes in again, too."""
        own = event.receiver is not None and event.receiver.kind == "self"
        return own and bool(event.targets) and not any(map(self._calls.modules.has_method, event.targets))

    def _caller_cues(self, function: FunctionNode, destiny: Destiny) -> Iterator[Cue]:
        callers = self._calls.callers.get(function, [])
        if callers and all(self.is_inference_name(edge.caller) for edge in callers):
            edge = callers[0]
            message = f"it is only called by code that does not train, such as `{edge.caller.name}`"
            yield Cue(1, message, edge.place, by_name=True)
        elif self._is_known_not_to_train(function, destiny):
            return  # whoever calls it: training loops roll out, and validate
        elif any(TRAINING_FUNCTION.search(edge.caller.facts.name) for edge in callers):
            yield Cue(-1)

    def _is_known_not_to_train(self, function: FunctionNode, destiny: Destiny) -> bool:
        if self.is_inference_name(function):
            return True
        # ``self.stride = 32 // self.forward(probe).shape[-1]`` in a constructor trains nothing, either.
        in_use = self._calls.modules.has_method(function) and function.facts.name != "__init__"
        return destiny.dropped or (destiny.only_read and not in_use)

    def is_inference_name(self, function: FunctionNode) -> bool:
        """Whether a function is called like one that does not train; a module body by its file."""
        if function.is_module_body:
            return INFERENCE_FILE.search(function.module.path) is not None
        name = function.facts.name
        inference = INFERENCE_FUNCTION.search(name) is not None or self._is_of_inference_class(function)
        return inference and TRAINING_FUNCTION.search(name) is None

    def _is_of_inference_class(self, function: FunctionNode) -> bool:
        """``__call__`` of a class whose name says what for: ``ImagePredictor``, ``DDIMPipeline``."""
        cls = function.owner
        if cls is None or function.facts.name != "__call__" or self._calls.modules.is_module_class(cls):
            return False
        return INFERENCE_CLASS.search(cls.facts.name) is not None


def _spelt(iterable: Expression) -> str | None:
    """The name of what is iterated over, with the word that chooses it: ``loaders["val"]``, ``test_loaders[i]``."""
    word = ""
    while isinstance(iterable, Subscript):
        if isinstance(iterable.index, Constant) and isinstance(iterable.index.value, str):
            word = f".{iterable.index.value}{word}"
        iterable = iterable.value
    name = dotted(iterable)
    return name + word if name is not None else None


def _own_model_cues(function: FunctionNode, event: CallEvent, destiny: Destiny) -> Iterator[Cue]:
    """A model that nobody can train; what goes in may be, where what comes out is handed on: a loss of features."""
    made = loaded_for_itself(function, event.name)
    if made is not None:
        points = 2 if destiny.returned else 4
        yield Cue(points, "the model is loaded for this function alone: nobody can train it", function.place(made.at))


def _is_loop_of_its_own(function: FunctionNode, event: CallEvent, module: Value) -> bool:
    """Whether a model in evaluation mode runs in a loop that trains nothing: validation, in a function that trains."""
    near = module.training is False and module.mode_at is not None and module.mode_at[0] is function
    loop = rounds.innermost_loop(function, event.at) if near else None
    return loop is not None and not _trains_in(function, loop)


def _is_in_loop_that_trains(function: FunctionNode, event: CallEvent, module: Value) -> bool:
    """Whether the rounds of a loop train and run a model that was in evaluation mode before: a teacher, it may be."""
    loop = rounds.innermost_loop(function, event.at)
    if loop is None or (module.mode_at is not None and module.mode_at[0] is function and module.mode_at[1] in loop):
        return False
    return _trains_in(function, loop)


def _trains_in(function: FunctionNode, loop: Collection[int]) -> bool:
    return any(call.at in loop and call.method in TRAINING_WORDS for call in function.facts.calls)


def _is_of_loop(function: FunctionNode, event: CallEvent) -> bool:
    """Whether each round runs a module of its own, layer after layer: ``for layer in layers: x = layer(x)``."""
    name = event.name.partition(".")[0]
    return "[" in event.name or name in rounds.loop_names(function, event.at)


def _taken(detail: str) -> str:
    if detail in _DETACHED:
        return "only a tensor without the graph is taken from the result"
    return "the result is only read" if _is_function(detail) else "only numbers are taken from the result"


def _is_function(name: str) -> bool:
    """``save_image``, ``imwrite``: what only reads a tensor by its name, and is no method of one."""
    return name.isidentifier() and name not in _ON_TENSORS


def _how(detail: str) -> str:
    name, *guarded = detail.split(" ", 1) if " under " in detail else (detail,)
    spelt = f"`.{name}`" if name in _ON_TENSORS else f"`{name}`"
    return " ".join((spelt, *guarded))
