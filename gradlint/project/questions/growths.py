"""What keeps graphs from round to round, with the evidence that there are graphs and that nobody wants them."""

import re
from collections.abc import Iterable, Iterator, Set
from functools import cache
from itertools import islice
from typing import NamedTuple

from gradlint.model.code import dotted
from gradlint.model.inference_names import TEST_FILE
from gradlint.model.record import answer
from gradlint.model.torch_calls import (
    BACKWARD_METHODS,
    GRADIENT_NAMES,
    TAKES_LOSS,
    TRAINING_NAMES,
    TRAINING_WORDS,
)
from gradlint.project.grad_states.calls import CallGraph
from gradlint.project.grad_states.effects import GRAD
from gradlint.project.linking import rounds
from gradlint.project.linking.frameworks import Frameworks, given_to_framework, is_walked_by_framework
from gradlint.project.linking.memos import Memo
from gradlint.project.linking.nodes import FunctionNode
from gradlint.project.questions.added import (
    holds_computed,
    is_computed_loss,
    is_derived_again,
    is_given_computed,
    is_of_one_graph,
    items_of,
    loop_of,
    loses_graph,
    shows_graph,
)
from gradlint.project.questions.cut_off import is_always_cut_off
from gradlint.project.questions.destiny import Destinies, becomes_array
from gradlint.project.questions.forwards import Forwards
from gradlint.project.questions.handed import Handed
from gradlint.project.questions.handed_results import HandedResults
from gradlint.project.questions.handing_out import HandingOut
from gradlint.project.questions.items import are_walked, holders, is_of_walked_sum
from gradlint.project.questions.keeping import (
    collects,
    is_emptied,
    is_replayed,
    walked_names,
)
from gradlint.project.questions.putting import Put, Putting
from gradlint.project.questions.reaching import Reaching
from gradlint.project.questions.walked_outside import UNNAMED, walked_by_callers
from gradlint.project.running.conditions import Passed
from gradlint.project.running.flow import MOST_TARGETS, CallEvent, Flow
from gradlint.project.running.flows import Flows
from gradlint.project.running.growth import Growth
from gradlint.project.running.values import COMPUTED, Origin, Value

_TARGET = re.compile(r"(^|[._])target(_(net|network|model|critic|actor|policy|q))?$")
_ENGINES = re.compile(r"^(jac\w*|grad_and_value|linearize|functorch|captum|torchattacks|foolbox|higher|learn2learn)$")


@answer
class Kept:
    """A growth that keeps graphs. ``walked``: ``backward()`` runs on what is added, and leaves little of it.

    ``at`` is where it is seen in the function asked about, ``inside`` the function that holds the growth;
    ``made_at`` is the forward whose graph it is. ``in_part``: what is added holds tensors, or is one of several
    things that need not be. ``replayed``: it goes into a memory that is drawn from.
    """

    at: int
    growth: Growth
    inside: FunctionNode
    walked: bool
    made_at: int | None
    in_part: bool = False
    replayed: bool = False


class _Judged(NamedTuple):
    """What a :class:`Kept` says of what is added."""

    walked: bool
    made_at: int | None = None
    in_part: bool = False
    replayed: bool = False


class Growths:
    """Judges what flows have noted."""

    def __init__(
        self, calls: CallGraph, flows: Flows, destinies: Destinies, forwards: Forwards, frameworks: Frameworks
    ) -> None:
        self._frameworks = frameworks
        self._calls = calls
        self._flows = flows
        self._destinies = destinies
        self._forwards = forwards
        self._given = Handed(calls, flows)
        self._results = HandedResults(calls, flows, self._given)
        self._putting = Putting(calls, flows, self._given)
        self._passed = Passed(flows, flows.bindings)
        self._handing_out = HandingOut(calls, flows, self._passed)
        self._training = Reaching("training", flows.linker, calls, _says_training)
        self._always_cut_off: Memo[str, bool] = Memo(
            flows.linker.dependencies, lambda name: is_always_cut_off(flows.linker.mentions, name), meanwhile=False
        )

    def kept(self, function: FunctionNode) -> Iterator[Kept]:
        """The growths in a function, and in what it hands its tensors to, that keep graphs for nothing."""
        if not self._frameworks.is_torch(function.module):
            return
        trains = not function.facts.words.isdisjoint(BACKWARD_METHODS) or self._is_walked_by_framework(function)
        if not trains and not self._may_keep(function) and not self._fills_for_nothing(function):
            return
        flow = self._flows.flow(function)
        for growth in flow.growths.values():
            names = {name for name, _ in growth.summands}
            summed = growth.path if growth.how == "sum" and not growth.outlives else None
            replayed = growth.how == "container" and is_replayed(function, growth.path)
            cut_off = growth.how == "container" and self._is_cut_off(growth.path)
            found = self._judged(flow, growth.at, growth.added, names, summed, replayed=replayed, cut_off=cut_off)
            if found is None or is_of_one_graph(flow, growth):
                continue
            if found.walked and rounds.is_begun_by_step(function, growth.path, growth.at):
                continue  # what it keeps is freed, but for the nodes of the few graphs that a step is made of
            if cut_off or not self._wanted(function, growth, walked=found.walked, replayed=replayed):
                yield Kept(growth.at, growth, function, *found)
            elif found.made_at is not None and self._is_beside_walked(flow, growth):
                yield Kept(growth.at, growth, function, *found._replace(walked=True))
        for event in flow.calls.values():
            yield from self._handed(flow, event)

    def _judged(
        self,
        flow: Flow,
        at: int,
        added: Value,
        names: set[str],
        path: str | None = None,
        *,
        replayed: bool = False,
        cut_off: bool = False,
    ) -> _Judged | None:
        """Whether ``backward()`` runs on what is added, and which forward made it; None if it may have no graph.

        ``path`` is the variable of the function that it is summed up in, if it is; ``replayed`` tells that it goes
        into a memory that is drawn from, ``cut_off`` into one of which all that is read is detached.
        """
        loop = loop_of(flow, at, added, path)
        walked = names & walked_names(flow.function, loop)
        if not added.tensor & COMPUTED or is_derived_again(flow, added, walked=walked):
            return None
        held = [each for name in names for each in holders(flow.function, name, at, path)]
        if loses_graph(flow, at, loop, names, held):
            return None
        forwards = [o for o in added.origins if (loop is None or o.at in loop) and self._is_forward(flow, o)]
        recorded = [o for o in forwards if self._calls.states_at(flow.function, o.at) & GRAD]
        forwards = recorded or forwards  # a reference beside it, under a guard, adds no graph
        made_at = min((origin.at for origin in forwards), default=None)
        if walked or names & self._returned_to_framework(flow.function):
            return _Judged(True, made_at)
        if any(are_walked(flow.function, each) for each in held):
            return _Judged(True, made_at)
        if any(is_of_walked_sum(flow.function, name) for name in names):
            return _Judged(True, made_at)
        if forwards and names & walked_by_callers(self._calls, flow.function):
            return _Judged(True, made_at)
        computed = added.tensor == COMPUTED or is_given_computed(flow, added, names)
        if (computed or holds_computed(flow, added, held)) and any(
            self._handing_out.computed(flow, o) for o in added.origins
        ):
            return _Judged(True, in_part=not computed)
        if any(_is_given_by(added, o) and self._handing_out.walked(flow, o) for o in added.origins):
            return _Judged(True)
        if forwards and not recorded:
            return None  # whatever else becomes of them
        trained = any(use.kind == "trained" for origin in forwards for use in flow.uses.get(origin, ()))
        if trained and any(is_computed_loss(flow, name) for name in names):
            return _Judged(True, made_at)
        if trained and any(shows_graph(flow, part, forwards) for part in items_of(flow, added, held)):
            return _Judged(True, made_at, in_part=not computed)
        if self._results.show_none(flow, names, forwards):
            return None
        if not forwards or not (shows_graph(flow, added, forwards) or self._results.show_graph(flow, names, forwards)):
            return None
        if trained or self._goes_to_framework(flow, forwards):
            return _Judged(True, made_at)
        may_stay = not replayed and not cut_off and self._only_in_training(flow.function)
        if may_stay and not self._evaluates(flow, forwards):
            return None
        if any(becomes_array(use.detail) for origin in forwards for use in flow.uses.get(origin, ())):
            return None  # it has no graph
        if any(self._calls.states_at(flow.function, origin.at) != GRAD for origin in forwards):
            return None
        return _Judged(False, made_at, replayed=replayed)

    def _is_walked_by_framework(self, function: FunctionNode) -> bool:
        return is_walked_by_framework(self._flows.linker, function)

    def _returned_to_framework(self, function: FunctionNode) -> set[str]:
        """The names of what a framework is given to run ``backward()`` on."""
        return {name for loss in given_to_framework(self._flows.linker, function) if (name := dotted(loss)) is not None}

    def _goes_to_framework(self, flow: Flow, forwards: list[Origin]) -> bool:
        """Whether forwards go into what a framework is given, and it runs ``backward()`` on that."""
        returned_ = flow.returns.origins if flow.returns is not None else frozenset[Origin]()
        return not returned_.isdisjoint(forwards) and self._is_walked_by_framework(flow.function)

    def _may_keep(self, function: FunctionNode) -> bool:
        """Whether a function that has no ``backward()`` of its own may keep graphs; told without running it."""
        if self._only_in_training(function) and not self._training.of(function):
            return False
        calls_training = self._calls_training(function)
        if not (collects(function) or calls_training) or not (self._training.of(function) or self._records(function)):
            return False
        return calls_training or self._forwards.may_run(function)

    def _fills_for_nothing(self, function: FunctionNode) -> bool:
        """Whether it fills an attribute of which all that is read is cut off; told without running it.

        What a constructor fills it fills once, with the layers of a network as a rule.
        """
        if function.facts.name == "__init__":
            return False
        filled = (call.callee for call in function.facts.calls if call.method in ("append", "extend"))
        return any(self._is_cut_off(name.rpartition(".")[0]) for name in filled) and self._records(function)

    def _is_cut_off(self, path: str) -> bool:
        owner, _, name = path.rpartition(".")
        return bool(owner) and self._always_cut_off.of(name)

    def _records(self, function: FunctionNode) -> bool:
        """Whether some call of a function records a graph, whoever calls the function."""
        return any(self._calls.states_at(function, call.at) == GRAD for call in function.facts.calls)

    def _only_in_training(self, function: FunctionNode) -> bool:
        """Whether what a function keeps is wrong only if ``backward()`` has run on it: else it may be wanted."""
        if not function.facts.words.isdisjoint(TRAINING_WORDS) or self._calls.modules.has_method(function):
            return True
        return TEST_FILE.search(function.module.path) is not None

    def _evaluates(self, flow: Flow, forwards: list[Origin]) -> bool:
        """Whether models in evaluation mode give it, in code that trains at other times: a validation loop."""
        if self._calls.modules.has_method(flow.function) or TEST_FILE.search(flow.function.module.path):
            return False
        events = [flow.calls[origin.at] for origin in forwards]
        modules = [e.callee if e.callee.kind == "module" else e.receiver for e in events]
        return all(
            event.evaluating is not None or (module is not None and module.training is False)
            for event, module in zip(events, modules, strict=True)
        )

    def _calls_training(self, function: FunctionNode) -> bool:
        """Whether a function of the project that it calls runs ``backward()``."""
        callees = self._calls.callees.get(function, {}).values()
        return any(not c.facts.words.isdisjoint(BACKWARD_METHODS) for found in callees for c in found)

    def _is_forward(self, flow: Flow, origin: Origin) -> bool:
        event = flow.calls.get(origin.at) if origin.function is flow.function else None
        if event is None or not event.forward or self._runs_frozen(flow.function, event):
            return False
        if self._is_told_to_give_none(flow, event):
            return False
        return not self._given.gives_no_graph(flow.function, event)

    def _is_told_to_give_none(self, flow: Flow, event: CallEvent) -> bool:
        """``net.sample(4)`` of ``def sample(self, number, logits=False)``: whether flags choose what has no graph."""
        given = [(f, self._passed.constants_in(flow, event.at, f)) for f in event.targets[:MOST_TARGETS]]
        if not any(known for _, known in given):
            return False
        returned = [(self._flows.given(f, known) if known else self._flows.flow(f)).returns for f, known in given]
        return all(each is not None and each.is_tensor and not each.origins for each in returned)

    def _runs_frozen(self, function: FunctionNode, event: CallEvent) -> bool:
        """Whether a module that every caller has frozen runs on what needs no gradient: nothing is recorded."""
        if self._given.runs_frozen(function, event):
            return True
        if event.callee.kind != "module" or any(argument.value.requires_grad for argument in event.arguments):
            return False
        return self._given.is_frozen(function, event.callee) or self._given.comes_frozen(function, event)

    def _wanted(self, function: FunctionNode, growth: Growth, *, walked: bool, replayed: bool) -> bool:
        if growth.how == "container" and is_emptied(function, growth.path):
            return True
        if growth.how == "container" and self._is_handed_on(function, growth) and not _is_walked(function, growth):
            return True
        if replayed:
            return False
        if growth.outlives and growth.how == "sum" and growth.path in walked_names(function, None):
            return True
        kept = walked and any(walk.keeps_graph for walk in self._flows.flow(function).walks)  # for another walk
        if growth.outlives and ((walked and not kept) or self._is_of_target(growth)):
            return False  # nobody walks these graphs again, or nobody should
        destiny = self._destinies.of(function, growth.at)
        if destiny.trained:
            return True
        if walked:  # callers train on what a ``forward`` gives, though it derives a part of it: forces of energies
            return destiny.returned and self._is_trained_by_caller(function)
        made_array = any(becomes_array(how) for _, how in destiny.reads)
        return made_array or not (destiny.only_read or destiny.dropped)

    def _is_beside_walked(self, flow: Flow, growth: Growth) -> bool:
        """Whether an object keeps something of each graph that callers walk, and nobody trains on what it keeps.

        ``self.margins.append(logits.mean()); return -logsigmoid(logits).mean()``
        """
        function, name = flow.function, growth.path.rpartition(".")[2]
        if not growth.outlives or growth.how != "container" or flow.returns is None:
            return False
        if flow.returns.origins.isdisjoint(growth.added.origins) or is_emptied(function, growth.path):
            return False
        if UNNAMED not in walked_by_callers(self._calls, function) or self._is_handed_on(function, growth):
            return False
        return all(f.facts.words.isdisjoint(TRAINING_WORDS) for f in self._flows.linker.mentions.of(name))

    def _is_trained_by_caller(self, function: FunctionNode) -> bool:
        """Whether ``backward()`` runs on what a function returns, such as the sum of a list."""
        return self._calls.modules.is_forward(function) or self._is_walked_by_framework(function)

    def _is_handed_on(self, function: FunctionNode, growth: Growth) -> bool:
        """Whether the container is given to a function that leaves it with other objects, which may train on it."""
        uses = self._flows.flow(function).uses.get(Origin(function, growth.at), ())
        return any(use.kind == "kept" for use in uses)

    def _is_of_target(self, growth: Growth) -> bool:
        """Whether all graphs that are kept are those of a target network, which is not trained by what it gives."""
        events = [self._flows.flow(o.function).calls.get(o.at) for o in growth.added.origins if o.at >= 0]
        names = [event.name for event in events if event is not None and event.forward]
        return bool(names) and all(_TARGET.search(name) for name in names)

    def _handed(self, flow: Flow, event: CallEvent) -> Iterator[Kept]:
        """``meter.update(loss)``: what the method of the project does with it."""
        found = (kept for put, values in self._putting.by(flow, event)
                 for kept in self._handed_to(flow, event, put, values))  # fmt: skip
        yield from islice(found, 1)

    def _handed_to(self, flow: Flow, event: CallEvent, put: Put, values: Iterable[Value]) -> Iterator[Kept]:
        inside, growth, _ = put
        if growth.how == "sum" and not self._calls.states_at(flow.function, event.at) & GRAD:
            return
        replayed = growth.how == "container" and is_replayed(inside, growth.path)
        for value in values:
            found = self._judged(flow, event.at, value, set(event.names_of(value)), replayed=replayed)
            if found is not None and not self._wanted(inside, growth, walked=found.walked, replayed=replayed):
                yield Kept(event.at, growth, inside, *found)


def _is_walked(function: FunctionNode, growth: Growth) -> bool:
    """Whether ``backward()`` runs on what is added itself, or on a part of it: nobody walks that graph again."""
    walked = walked_names(function, rounds.innermost_loop(function, growth.at))
    added = {name for name, _ in growth.summands}
    return any(each in added or re.split(r"[.\[]", each)[0] in added for each in walked)


def _is_given_by(added: Value, origin: Origin) -> bool:
    """Whether it is the very result of a call, or a tensor that is computed from that, whatever way is taken."""
    computed = added.kind == "tensor" and added.made_at is not None
    return origin in added.origins and (added.made_at == origin.at or computed)


def _says_training(words: Set[str]) -> bool:
    """Whether a function with these words may take a derivative, or hand a loss to what does."""
    return any(map(_derives, words)) or (any(map(_takes_loss, words)) and any("loss" in word.lower() for word in words))


@cache
def _derives(word: str) -> bool:
    return any(pattern.search(word) is not None for pattern in (TRAINING_NAMES, GRADIENT_NAMES, _ENGINES))


@cache
def _takes_loss(word: str) -> bool:
    return TAKES_LOSS.search(word) is not None
