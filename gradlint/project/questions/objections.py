"""What speaks against a forward being inference, whatever speaks for it: its graph is needed, or it has none."""

import re

from gradlint.model.code import Call, dotted
from gradlint.model.framework_hooks import EVALUATION_HOOKS
from gradlint.model.torch_calls import BACKWARD_METHODS, BODY_MODELS, MODEL_NAME, TRAINING_WORDS
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.linking.nodes import ClassNode, External, FunctionNode
from gradlint.project.linking.scope import enclosing_withs, is_of_another_framework
from gradlint.project.linking.views import FEW, View
from gradlint.project.questions.cues import Cues
from gradlint.project.questions.deriving import Deriving
from gradlint.project.questions.destiny import Destiny, becomes_array
from gradlint.project.questions.handed import Handed
from gradlint.project.questions.phases import TRAINS
from gradlint.project.questions.reached import Reached
from gradlint.project.running.flow import CallEvent, is_bound, matched
from gradlint.project.running.flows import Flows
from gradlint.project.running.values import Origin, Value

_SIZE = re.compile(r"^(d|dim|n|num|size)_")  # ``d_model``
_SIZE_ALONE = re.compile(r"(_|\b)(dims?|sizes?|channels)$")
_TRANSFORM = re.compile(r"(^|_)i?(stft|fft|rfft|dct|fbank|mfcc|melspec\w*|spectrogram|resampl\w*)(_|$)")  # of signals
_SHOWN = frozenset("shape size print dtype device f-string format len dim ndim type ==".split())
_COMPARED = _SHOWN | frozenset(
    (
        "allclose isclose equal array_equal assert_close assert_allclose assert_equal assert_array_equal "
        "assert_almost_equal assert_array_almost_equal isnan isfinite isinf all any <= >= < >"
    ).split()
)
_CUT = frozenset({"data", "detach"})
_IN_EARNEST = TRAINING_WORDS | {"load", "load_state_dict"}
_STORAGE = re.compile(r"(buffer|storage|dataset|replay(_?memory)?)\d*$|(^|[._])rb(_\w+)?$", re.I)
_ADAPTING = re.compile(r"(^|[._])(learner|clone|maml|meta_?\w*|model)\.adapt$", re.I)
_WALKING = BACKWARD_METHODS | {"zero_grad"}  # not ``fit``: a classifier of features, by which others are judged
_ENABLING = External("torch.enable_grad")
_OF_ARRAYS = frozenset({"torch.tensor", "torch.Tensor", "torch.FloatTensor"})
_SMOKE = re.compile(r"^_*(test|main|demo|debug|check|smoke|example)(_|$)|_test$|^test[A-Z0-9]")


class Objections:
    """Looks for them, the ones that cost least first."""

    def __init__(self, calls: CallGraph, flows: Flows, handed: Handed, cues: Cues, reached: Reached) -> None:
        self._calls = calls
        self._flows = flows
        self._handed = handed
        self._cues = cues
        self._reached = reached
        self._deriving = Deriving(flows.linker, calls)
        self._trains: View[FunctionNode, bool] = View(
            flows.linker.dependencies, "trains", self._finds_training, lambda _: (), few=FEW
        )

    def apply(self, function: FunctionNode, event: CallEvent, module: Value, destiny: Destiny) -> bool:
        """Whether there is one to a forward, of which it is known what becomes of its result."""
        if _hands_on_hook(function, event):
            return True  # a part of a framework: what calls this one holds the guard
        if module.target is None and is_of_another_framework(function):
            return True
        if _is_of_storage(function, event) or _TRANSFORM.search(event.method):
            return True
        if module.target is None and _is_given_sizes(event):
            return True  # a class, that makes a model of that size
        if self._is_asked_for(function, event.at):
            return True
        if destiny.trained or destiny.meets_numpy or self._meets_numpy(function, event, module):
            return True
        hooked = destiny.dropped and event.result.items is None and _feeds_hooks(function)
        if hooked and not self._cues.validates_apart(function, event, module):
            return True
        if self._cues.is_frozen(function, module) or self._handed.comes_frozen(function, event):
            return True
        if self._handed.runs_frozen(function, event):
            return True
        if self.derives(function, event, module) or self._is_of_body(module):
            return True
        if self._is_walked_by_owner(function, event):
            return True
        own = Origin(function, event.at)  # what it gave itself, the round before, asks for no gradient
        if any(argument.value.requires_grad and own not in argument.value.origins for argument in event.arguments):
            return True
        if self._is_fed_arrays(event):
            return True
        if self._is_smoke_test(function, event.at, module, destiny) or self._handed.gives_no_graph(function, event):
            return True
        if bool(event.targets) and all(map(self._handed.runs_no_module, event.targets)):
            return True
        return self._may_train(event)

    def loses_what_it_trains(self, function: FunctionNode) -> bool:
        """Whether nothing that a function walks has the graph of a forward.

        What it trains on lost its graph on the way: that is to be mended, and no guard is wanted.
        """
        flow = self._flows.flow(function)
        calls, walked = flow.calls, [walk.receiver for walk in flow.walks]
        return bool(walked) and all(
            value is not None
            and value.kind == "tensor"
            and value.requires_grad is not None
            and not any(o.at in calls and calls[o.at].forward for o in value.origins if o.function is function)
            for value in walked
        )

    def _is_asked_for(self, function: FunctionNode, at: int) -> bool:
        """Whether a forward, or all calls that lead there with grad on, stand in ``with torch.enable_grad():``.

        Whoever wrote that wants the graph.
        """
        if self._asks_for_graph(function, at):
            return True
        edges = [edge for edge in self._calls.callers.get(function, ()) if self._reached.leaves_on(edge)]
        return bool(edges) and all(self._asks_for_graph(edge.caller, edge.at) for edge in edges)

    def _asks_for_graph(self, function: FunctionNode, at: int) -> bool:
        if "enable_grad" not in function.facts.words:
            return False
        items = (item.context for around in enclosing_withs(function, at) for item in around.items)
        names = (dotted(context.function if isinstance(context, Call) else context) for context in items)
        return any(self._flows.linker.resolve(function, name or "") == _ENABLING for name in names)

    def _may_train(self, event: CallEvent) -> bool:
        """Whether a function of the project trains when it is called, or is told to: a guard would break that."""
        if any(map(self._calls.modules.is_forward, event.targets)):
            return False  # all that modules of the project are made of may come into a ``__call__`` that they share
        return any(_is_told_to_train(event, f) or self._trains.of(f) or self._keeps_to_train(f) for f in event.targets)

    def _keeps_to_train(self, function: FunctionNode) -> bool:
        """Whether a function stores what it hands back, too, where others train on it."""
        return any(
            use.kind == "stored" and self._flows.may_train_on(function, use.detail)
            for uses in tuple(self._flows.flow(function).uses.values())
            if any(use.kind in ("returned", "yielded") for use in uses)
            for use in uses
        )

    def _finds_training(self, function: FunctionNode) -> bool:
        below = self._calls.below([function])
        return any(not _WALKING.isdisjoint(each.facts.words) or _adapts(each) for each in below)

    def _is_smoke_test(self, function: FunctionNode, at: int, module: Value, destiny: Destiny) -> bool:
        """A fresh model run once to see that it runs: only its output's shape is looked at, nothing is evaluated."""
        own = _tries_own(function, module)
        reads = {detail for _, detail in destiny.reads} - (_CUT if own else frozenset())  # ``print(out.data.shape)``
        if destiny.unknown or module.training is False or destiny.dropped or not reads <= _COMPARED:
            return False
        if function.is_module_body or _SMOKE.search(function.facts.name) is not None:
            shown = reads <= _SHOWN or own
            return shown and not self._cues.is_over_evaluation_data(function, at)
        uses = self._flows.flow(function).uses.get(Origin(function, at), ())
        return any(use.kind == "returned" for use in uses) and self._only_tries_itself(function)

    def _only_tries_itself(self, function: FunctionNode) -> bool:
        """Whether a method of a module is run by the end of its own file alone, which tries what others will use."""
        body = function.module.body
        if not self._calls.modules.has_method(function) or not _IN_EARNEST.isdisjoint(body.facts.words):
            return False
        above = self._calls.above(function)
        own = (each.module is function.module and self._calls.modules.has_method(each) for each in above - {body})
        return body in above and all(own)

    def derives(self, function: FunctionNode, event: CallEvent, module: Value) -> bool:
        """Whether the module takes derivatives in its own forward, as models of energies and forces do."""
        handed = self._handed.values(function, module) if module.target is None else ()
        chosen = () if handed or module.target is not None else self._calls.instances.classes_of(function, event.name)
        targets = [value.target for value in handed] or [*chosen] or [module.target]
        classes = [target for target in targets if isinstance(target, ClassNode)]
        if self._deriving.some_derive and (None in targets or any(map(_is_made_of_others, classes))):
            return True  # it may be any of them
        return any(map(self._deriving.derives, classes))

    def _is_of_body(self, module: Value) -> bool:
        """Whether a model of a body is posed: what it computes has a graph only where what it is given has one."""
        cls = module.target
        kinds = self._flows.linker.ancestors(cls) if isinstance(cls, ClassNode) else (cls,)
        return any(isinstance(kind, External) and BODY_MODELS.match(kind.name) is not None for kind in kinds)

    def _is_walked_by_owner(self, function: FunctionNode, event: CallEvent) -> bool:
        """``cam.forward(image)``, then ``cam.backward(label)``: the object keeps the graph, and walks it itself.

        So does ``net(x)``, then ``net.backward(delta)``, which is written without autograd; an engine is given a loss.
        """
        owner, walked = event.name.rpartition(".")[0], self._flows.flow(function).walks
        if event.targets and owner not in ("", "self"):
            return any(other.name == f"{owner}.{other.method}" for other in walked)
        owners = (event.name, owner) if event.method == "forward" else (event.name,)
        return any(other.name in {f"{name}.backward" for name in owners} and _is_given_delta(other) for other in walked)

    def _is_fed_arrays(self, event: CallEvent) -> bool:
        """``solve(np.zeros(3), model)``: a function that says nothing of torch runs what it is handed on arrays."""
        if not event.targets or all(argument.value.kind != "array" for argument in event.arguments):
            return False
        if any("torch" in target.facts.words for target in event.targets):
            return False
        inside = (e for target in event.targets for e in self._flows.flow(target).calls.values() if e.forward)
        return all(each.callee.parameter not in (None, "self") for each in inside)

    def _meets_numpy(self, function: FunctionNode, event: CallEvent, module: Value) -> bool:
        """Whether numpy, or what makes a tensor of data, is given the result of what may be a model of another kind.

        Whoever runs such code has a guard that we do not see, or no graph.
        """
        unseen = event.callee.kind != "module" and not event.targets  # a method of who knows what class
        uses = self._flows.flow(function).uses.get(Origin(function, event.at), ())
        return (unseen or module.certainty == "named") and any(
            becomes_array(use.detail) or use.detail in _OF_ARRAYS for use in uses
        )


def _tries_own(function: FunctionNode, module: Value) -> bool:
    """Whether what tries a file, and neither trains nor loads anything, runs a module that is defined in the file."""
    own = isinstance(module.target, ClassNode) and module.target.module is function.module
    return own and _IN_EARNEST.isdisjoint(function.facts.words)


def _is_told_to_train(event: CallEvent, function: FunctionNode) -> bool:
    """``run_epoch(model, loader, train=True)``."""
    given = matched(event.arguments, function, bound=is_bound(event, function))
    return any(value.constant is True and TRAINS.search(name) is not None for name, value in given.items())


def _is_made_of_others(cls: ClassNode) -> bool:
    """Whether the constructor of a module is handed models, whose classes nobody knows: an ensemble, a wrapper."""
    constructor = cls.method("__init__")
    parameters = constructor.facts.parameters if constructor is not None else ()
    names = [parameter.name.removesuffix("s") for parameter in parameters]
    return any(MODEL_NAME.search(name) is not None and not _SIZE.search(name) for name in names)


def _is_given_delta(event: CallEvent) -> bool:
    """Whether ``backward`` is handed what is named otherwise than a loss."""
    names = [dotted(argument.expression) for argument in event.arguments]
    return len(names) == 1 and names[0] is not None and "loss" not in names[0].lower()


def _is_given_sizes(event: CallEvent) -> bool:
    """``agent(net_dim, env.state_dim, env.action_dim, gpu_id=0)``: no forward is given sizes alone."""
    names = [dotted(argument.expression) or "" for argument in event.arguments if argument.keyword is None]
    return len(names) > 1 and all(map(_SIZE_ALONE.search, names))


def _adapts(function: FunctionNode) -> bool:
    """``learner.adapt(loss)`` of learn2learn: an inner loop, which takes derivatives."""
    calls = function.facts.calls if "adapt" in function.facts.words else ()
    return any(_ADAPTING.search(call.callee) for call in calls)


def _feeds_hooks(function: FunctionNode) -> bool:
    """Whether a forward whose result nobody wants may run for a hook, which keeps what is trained on."""
    if not function.facts.words.isdisjoint(BACKWARD_METHODS):
        return True
    words = [each.facts.words for each in function.module.functions]
    hooked = any("register_forward_hook" in each for each in words)
    return hooked and any(not each.isdisjoint(BACKWARD_METHODS) for each in words)


def _hands_on_hook(function: FunctionNode, event: CallEvent) -> bool:
    """Whether a method calls what is named like it, or has somebody else call it: ``redirect(model, "test_step")``."""
    name = function.facts.name
    named = event.method == name or any(argument.value.constant == name for argument in event.arguments)
    return named and name in EVALUATION_HOOKS


def _is_of_storage(function: FunctionNode, event: CallEvent) -> bool:
    """``replay_buffer.sample(32)``: what was stored comes out, whatever it is passed through on the way."""
    if function.facts.name == "sample" and function.owner is not None and _STORAGE.search(function.owner.name):
        return True
    return event.method == "sample" and _STORAGE.search(event.name.rpartition(".")[0]) is not None
