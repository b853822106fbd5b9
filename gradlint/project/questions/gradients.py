"""Where gradients are read, and what ``backward()`` is called on."""

from collections.abc import Iterator, Sequence

from gradlint.finding import Place
from gradlint.model.code import Call, Name, is_none
from gradlint.model.torch_calls import ENGINE
from gradlint.project.linking.bindings import owner_class
from gradlint.project.linking.nodes import ClassNode, External, FunctionNode
from gradlint.project.linking.rebinding import given_to
from gradlint.project.questions.handed_layers import handed_layer
from gradlint.project.running.flow import TRAINABLE, AttributeEvent, CallEvent, Flow
from gradlint.project.running.flows import Flows
from gradlint.project.running.reads import mentions_grad
from gradlint.project.running.values import COMPUTED, LEAF, NEVER, PLAIN, UNKNOWN, Value

_RETAINING = frozenset({"retain_grad", "retains_grad", "register_hook"})  # of who gets at such a gradient
_LEAVES = _RETAINING | {"requires_grad", "requires_grad_"}
_STARTING = {  # functions that walk a graph, and the argument they start at
    "torch.autograd.backward": "tensors",
    "torch.autograd.grad": "outputs",
}


class Gradients:
    """Finds reads and walks; a function whose words speak of neither is not run."""

    def __init__(self, flows: Flows) -> None:
        self._flows = flows

    def reads(self, function: FunctionNode) -> list[AttributeEvent]:
        """The reads of ``.grad`` in a function, in order."""
        if not mentions_grad(function):
            return []
        events = self._flows.flow(function).attributes.values()
        return sorted((e for e in events if e.name == "grad" and e.stored is None), key=lambda event: event.at)

    def trained(self, function: FunctionNode) -> Flow | None:
        """What running a module's ``forward`` shows when nobody has frozen its parameters; None for other functions."""
        modules = self._flows.calls.modules
        if function.owner is None or not modules.is_forward(function):
            return None
        if function.facts.is_generator or function.facts.decorators or modules.sets_flags(function.owner):
            return None
        return self._flows.given(function, {TRAINABLE: True})

    def computed_by_forward(self, function: FunctionNode, name: str) -> Place | None:
        """Where ``forward`` computes what ``net.hidden`` holds ever after, if nobody who speaks of that retains it."""
        owner, _, attribute = name.rpartition(".")
        cls = self._class_of(function, owner)
        if cls is None or any(not _RETAINING.isdisjoint(f.facts.words) for f in self._speaking_of(attribute)):
            return None
        made = [each for each in self._flows.bindings.attribute(cls, attribute) if not is_none(each[1])]
        if len(made) != 1 or made[0][0] is function or (flow := self.trained(made[0][0])) is None:
            return None
        value = flow.env.get(f"self.{attribute}", UNKNOWN)
        computed = value.is_tensor and value.tensor & COMPUTED and not value.tensor & LEAF
        return flow.function.place(value.made_at or made[0][1].at) if computed and value.retained == NEVER else None

    def made_by_handed_layer(self, function: FunctionNode, name: str) -> Place | None:
        """Where a name is given what a layer computes that all callers hand over, and nobody makes that a leaf."""
        given = list(given_to(function, name)) if _LEAVES.isdisjoint(function.facts.words) else []
        call = given[0] if len(given) == 1 else None
        if not isinstance(call, Call) or not isinstance(call.function, Name):
            return None
        layer = handed_layer(self._flows, function, call.function.id)
        rebound = any(True for _ in given_to(function, call.function.id))
        return function.place(call.at) if layer is not None and not rebound else None

    def _class_of(self, function: FunctionNode, owner: str) -> ClassNode | None:
        """The class of the module of the project that a name holds."""
        if owner == "self":
            return owner_class(function)
        value = self._flows.flow(function).env.get(owner, UNKNOWN)
        return value.target if value.kind == "module" and isinstance(value.target, ClassNode) else None

    def _speaking_of(self, attribute: str) -> Sequence[FunctionNode]:
        return self._flows.linker.mentions.of(attribute)

    def walks(self, function: FunctionNode) -> Iterator[tuple[CallEvent, Value]]:
        """The calls in a function that walk a graph back, each with a value it starts from."""
        if function.facts.words.isdisjoint({"backward", "manual_backward", "grad"}):
            return
        own = any(_is_own_backward(method) for method in self._flows.linker.methods_named.get("backward", ()))
        for event in self._flows.flow(function).calls.values():
            target = event.callee.target
            if event.callee.kind == "callable" and isinstance(target, External):
                if (name := _STARTING.get(target.name)) is not None:
                    yield from ((event, value) for value in _started_at(event, name))
            elif event.method in ("backward", "manual_backward") and event.receiver is not None:
                yield event, event.receiver
                if event.arguments and not own and ENGINE.search(event.name.rpartition(".")[0]):
                    yield event, event.arguments[0].value  # ``accelerator.backward(loss)``

    def raising(self, function: FunctionNode) -> Iterator[tuple[CallEvent, Value]]:
        """Those of the calls that are proved to raise: what they start from has no graph."""
        return ((event, value) for event, value in self.walks(function) if _is_bare(value))


def _is_bare(value: Value) -> bool:
    if value.lost is None:
        return False
    return value.kind in ("number", "array") or (value.is_tensor and value.tensor == PLAIN)


def _is_own_backward(method: FunctionNode) -> bool:
    """Whether a class of the project has a ``backward()`` of its own; one of an autograd Function is none."""
    return any(parameter.name == "self" for parameter in method.facts.parameters[:1])


def _started_at(event: CallEvent, name: str) -> Iterator[Value]:
    found = [a.value for a in event.arguments if a.keyword == name]
    found.extend(a.value for a in event.arguments[:1] if a.keyword is None and not a.stars)
    for value in found:
        yield from value.items if value.kind == "container" and value.items else (value,)
