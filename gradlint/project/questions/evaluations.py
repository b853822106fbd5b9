"""Which forwards evaluate what a module has learnt, and whether the mode of that module matters to them."""

import re

from gradlint.finding import Place
from gradlint.model.code import For, dotted
from gradlint.model.inference_names import EVALUATION_DATA
from gradlint.model.record import answer
from gradlint.model.torch_calls import TRAINING_WORDS
from gradlint.model.torch_tensors import LABELS
from gradlint.project.linking import rounds
from gradlint.project.linking.nodes import External, FunctionNode
from gradlint.project.questions.inference import Inference
from gradlint.project.questions.layers import Layers
from gradlint.project.questions.switches import Switches, says_eval
from gradlint.project.running.flow import CallEvent
from gradlint.project.running.values import Value

# What comes out of these has been put into evaluation mode already, or may have been.
_LOADERS = re.compile(r"from_pretrained|(^|\.)load(_\w+)?$")
# A function that measures how good a module is. One that acts or draws samples, while others train, may want the noise.
_MEASURING = re.compile(r"(^|_)(eval\w*|valid\w*|val|test\w*|predict\w*|infer\w*|accuracy|metrics?|scores?)(_|$)")


@answer
class Misset:
    """A forward in training mode.

    ``why``: the module was ``made``, ``set`` to training mode or ``trained`` in the function, ``loaded`` by the
    constructor, ``handed`` over by a caller that made it, ``used`` for training by such a caller, made and trained by
    the ``object`` or in the ``file``, or stands ``beside`` one that is in evaluation mode.

    ``place`` is where that happens; ``known`` tells whether the module has layers for which the mode matters.
    """

    event: CallEvent
    why: str
    place: Place | None
    known: bool | None


class Evaluations:
    """Answers for one project."""

    def __init__(self, inference: Inference, layers: Layers, switches: Switches) -> None:
        self._inference = inference
        self._layers = layers
        self._switches = switches

    def mode_matters(self, module: Value) -> bool | None:
        """Whether a module, or one of the parts it was made of in sight, computes something else in training mode."""
        if not module.items:
            return self._layers.depend_on_mode(module.target)
        parts = {self.mode_matters(part) for part in module.items}
        return True if True in parts else None if None in parts else False

    def depends(self, event: CallEvent, module: Value) -> bool | None:
        """Whether the mode matters, as far as is known, or because somebody sets it by hand."""
        known = self.mode_matters(module)
        return True if known is None and len(event.arguments) == 1 else known

    def measures(self, function: FunctionNode, event: CallEvent) -> bool:
        """Whether a function, in which nobody can have switched the mode, measures what a module has learnt."""
        return self.measures_itself(function, event) and not self._switches.above(function)

    def measures_itself(self, function: FunctionNode, event: CallEvent) -> bool:
        """The same of a function whose callers may have switched the mode."""
        if not (self.is_named(function) or self.is_over_evaluation_data(function, event.at)):
            return False
        return not is_given_labels(event) and not says_eval(function) and not self._switches.handed(function, event)

    def is_named(self, function: FunctionNode) -> bool:
        """Whether a function is called like one that measures: ``val_loss`` too, which is no name of inference."""
        return _MEASURING.search(function.facts.name) is not None

    def evaluates(self, function: FunctionNode, at: int) -> bool:
        """Whether the function is called like one that evaluates, or the place stands in a loop over such data."""
        return self._inference.is_inference_name(function) or self.is_over_evaluation_data(function, at)

    def is_over_evaluation_data(self, function: FunctionNode, at: int) -> bool:
        """Whether a place stands in a loop over data to evaluate on."""
        return any(map(_is_over_evaluation_data, rounds.loops_around(function, at)))


def is_made_and_loaded(function: FunctionNode, module: Value) -> bool:
    """Whether a function makes a module and loads its weights, trains nothing, and says nothing of its mode."""
    if module.training is not None or not is_made(module):
        return False
    return "load_state_dict" in function.facts.words and function.facts.words.isdisjoint(TRAINING_WORDS)


def is_made(module: Value) -> bool:
    """Whether it was made in sight, by no loader, and is in training mode as all are then."""
    if module.kind != "module" or module.born is None or module.parameter is not None:
        return False
    is_loaded = isinstance(module.target, External) and _LOADERS.search(module.target.name)
    return module.training is not False and not is_loaded


def is_given_labels(event: CallEvent) -> bool:
    """Whether a forward computes a loss itself: a detector does so in training mode alone."""
    return any(LABELS.search(dotted(argument.expression) or "") for argument in event.arguments[1:])


def _is_over_evaluation_data(loop: For) -> bool:
    return EVALUATION_DATA.search((dotted(rounds.iterated(loop.iterable)) or "").lower()) is not None
