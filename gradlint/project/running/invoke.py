"""The abstract run over calls: what a call gives, changes and does with what it is given."""

from typing import TYPE_CHECKING

from gradlint.model.code import Call
from gradlint.model.record import replace
from gradlint.model.torch_calls import ATTACKER, BACKWARD_METHODS, LOADING_METHODS, SCALER
from gradlint.project.linking.callables import takes_keywords
from gradlint.project.linking.nodes import ClassNode, External, FunctionNode
from gradlint.project.linking.unseen_parts import choices_of
from gradlint.project.running import tensors
from gradlint.project.running.flow import CallEvent
from gradlint.project.running.freezing import has_nothing_to_train
from gradlint.project.running.invocation import Invocation
from gradlint.project.running.invoke_external import on_external
from gradlint.project.running.invoke_method import cloned, on_value
from gradlint.project.running.invoke_module import forward, on_module
from gradlint.project.running.invoke_project import on_project
from gradlint.project.running.invoke_unknown import on_unknown
from gradlint.project.running.side_effects import suffer
from gradlint.project.running.uses import IN_VAIN
from gradlint.project.running.values import ANY, UNKNOWN, Value, meet, plain

if TYPE_CHECKING:
    from gradlint.project.running.interpret import Run


def call(node: Call, run: "Run") -> Value:
    """Evaluate a call."""
    invocation = Invocation(node, run)
    result = _result(invocation)
    run.flow.calls[node.at] = CallEvent(
        node.at,
        invocation.name,
        _receiver(invocation),
        invocation.callee,
        invocation.arguments,
        invocation.targets,
        result,
        invocation.forward,
        run.loops > 0,
        _evaluating(run) if invocation.forward else None,
        invocation.opaque,
    )
    return suffer(invocation, _remembering(invocation, result))


def _remembering(it: Invocation, result: Value) -> Value:
    """What comes out of unknown code may be what went in, or hold it."""
    if result.memory or result.kind not in ("unknown", "container") or result.tensor != ANY:
        return result
    memory = it.memory
    return replace(result, memory=memory) if memory else result


def _receiver(it: Invocation) -> Value | None:
    """What is called on; in a later round of a loop, where the call may be for the first round only, in any."""
    run, receiver = it.run, it.receiver
    before = run.flow.calls.get(it.at) if run.loops and run.round and run.branches else None
    if receiver is None or before is None or before.receiver is None or receiver.lost == before.receiver.lost:
        return receiver
    return meet(before.receiver, receiver)


def _evaluating(run: "Run") -> tuple[FunctionNode, int] | None:
    """Where a module that the function holds was put into evaluation mode, when none is in training mode."""
    modes = [value for value in run.env.values() if value.mode_at is not None]
    if any(value.training is not False for value in modes):
        return None
    return modes[0].mode_at if modes else None


def _result(it: Invocation) -> Value:
    if it.method == "scale" or (it.method in BACKWARD_METHODS and not _is_inverse(it)):
        return _trained(it)
    if it.receiver is not None and it.receiver.kind == "module":
        return on_module(it)
    target = it.callee.target
    if it.callee.kind == "callable" and isinstance(target, External):
        return on_external(it, target.name)
    targets = _targets(it)
    if targets:
        return on_project(it, targets)
    if it.callee.kind == "callable" and isinstance(target, ClassNode):
        return _instance(it, target)
    if it.callee.kind == "module":
        derives = it.callee.target is None and ATTACKER.search(it.name)  # ``for attack in attacks: attack(x)``
        return on_unknown(it) if derives else forward(it, it.callee)
    if (cls := _loaded(it)) is not None:
        return Value("module", target=cls, certainty="known", born=it.run.epoch, memory=it.memory)
    if it.receiver is not None and (result := on_value(it, it.receiver)) is not None:
        return result
    if (made := _chosen_instance(it)) is not None:
        return made
    return cloned(it, on_unknown(it)) if it.method == "clone" else on_unknown(it)


def _chosen_instance(it: Invocation) -> Value | None:
    """``Net = Small if fast else Large``, then ``Net(4)``; ``NETS[name](4)``: one of several classes of modules."""
    if it.callee.kind not in ("unknown", "callable") or it.callee.target is not None:
        return None
    linker, modules = it.run.flows.linker, it.run.flows.calls.modules
    chosen = [linker.resolve(*each) for each in choices_of(it.run.flows.bindings, it.run.function, it.name, it.node)]
    classes = [each for each in chosen if isinstance(each, ClassNode) and modules.is_module_class(each)]
    if not classes or len(classes) < len(chosen):
        return None
    if len(classes) == 1:
        return _instance(it, classes[0])
    callables = it.run.flows.calls.callables
    if not all(it.run.flows.hands_back(each) for cls in classes for each in callables.methods(cls, "__call__")):
        return None  # one of them may guard itself
    constructors = (linker.find_method(cls, "__init__") for cls in classes)
    it.targets = tuple(dict.fromkeys(each for each in constructors if each is not None))
    it.effects = it.run.effects_of(it.targets)
    frozen = None if any(map(modules.has_parameters, classes)) else True
    return Value("module", certainty="known", born=it.run.epoch, frozen=frozen, memory=it.memory)


def _loaded(it: Invocation) -> ClassNode | None:
    """The class of modules that a library's method makes one of: ``Net.from_pretrained(path)``."""
    cls = it.named_class if it.method in LOADING_METHODS else None
    return cls if cls is not None and it.run.flows.calls.modules.is_module_class(cls) else None


def _targets(it: Invocation) -> tuple[FunctionNode, ...]:
    target = it.callee.target if it.callee.kind == "callable" else None
    if isinstance(target, FunctionNode):
        overriding: list[FunctionNode] = []
        if it.receiver is not None and target.owner is not None:
            overriding = it.run.flows.calls.callees.get(it.run.function, {}).get(it.at, [])
        found = dict.fromkeys([target, *(t for t in overriding if t.facts.name == target.facts.name)])
        it.targets = tuple(t for t in found if not t.facts.is_stub) or tuple(found)  # a stub is there to be overridden
    elif it.callee.kind == "unknown" and isinstance(it.callee.target, ClassNode):
        it.targets = it.run.flows.calls.callables.methods(it.callee.target, "__call__")
    elif it.callee.kind in ("unknown", "self"):
        it.targets = tuple(it.run.flows.calls.callees.get(it.run.function, {}).get(it.at, ()))
        named = (it.method, "__call__", "forward")
        it.targets = tuple(t for t in it.targets if it.name and t.facts.name in named and takes_keywords(t, it.node))
    return it.targets


def _is_inverse(it: Invocation) -> bool:
    """``z, log_det = flow.backward(x, log_det)``: a method of the project's that never comes to a ``backward()``."""
    cls = it.receiver.target if it.receiver is not None else None
    found = it.run.flows.calls.callables.methods(cls, it.method) if isinstance(cls, ClassNode) else ()
    own = [method for method in found if method.facts.name == it.method]
    below = it.run.flows.calls.below(own)
    return bool(own) and all(method.facts.words.isdisjoint(BACKWARD_METHODS) for method in below)


def _trained(it: Invocation) -> Value:
    if it.receiver is not None and it.method != "scale" and _is_own(it, it.receiver):
        _targets(it)  # ``self.backward(loss)``
    if it.receiver is not None and it.receiver.kind == "module" and it.method == "scale":
        return plain(it.carried)
    it.run.flow.used(it.carried, "trained", it.at, it.method)
    if it.receiver is not None:  # in vain, but meant so
        it.run.flow.used(it.receiver.shadow, "trained", it.at, IN_VAIN)
    if it.method != "scale":
        part = it.receiver is not None and it.argument(0) is None and it.run.is_part_of_forward(it.receiver)
        itself = part or (it.receiver is not None and it.receiver.is_tensor)
        walked = it.receiver if itself else it.argument(0)
        it.run.prove(walked)
        it.run.prove(_before_scaling(it, walked))
        it.run.walk(it.carried, it.at)
    return _scaled(it) if it.method == "scale" else UNKNOWN


def _is_own(it: Invocation, receiver: Value) -> bool:
    """Whether a method is called on an object of the project, and no module: on itself, or on one of a known class.

    ``optimizer.backward(loss)``, too, as far as other calls tell whose method that is.
    """
    if receiver.kind == "self" or (isinstance(receiver.target, ClassNode) and receiver.kind != "module"):
        return True
    return receiver.kind == "unknown" and not receiver.is_tensor and bool(it.arguments)


def _before_scaling(it: Invocation, walked: Value | None) -> Value | None:
    """The loss itself, of which ``backward()`` has walked a multiple: ``scaler.scale(loss).backward()``."""
    event = it.run.flow.calls.get(walked.made_at) if walked is not None and walked.made_at is not None else None
    return event.arguments[0].value if event is not None and event.method == "scale" and event.arguments else None


def _scaled(it: Invocation) -> Value:
    """``scaler.scale(loss)``: the loss, times a number; a model may have a ``scale`` of its own."""
    first = it.argument(0)
    if first is None or not first.is_tensor or not SCALER.search(it.receiver_path or ""):
        return plain(it.carried)
    return replace(tensors.computed((first,), it.carried, it.at, it.run), lost=first.lost)


def _instance(it: Invocation, cls: ClassNode) -> Value:
    constructor = it.run.flows.linker.find_method(cls, "__init__")
    if constructor is not None:
        it.targets = (constructor,)
    it.effects = it.run.effects_of(it.targets)
    if it.run.flows.calls.modules.is_module_class(cls):
        frozen = True if has_nothing_to_train(it, cls) else None  # nothing is recorded
        born = it.run.epoch
        return Value("module", target=cls, certainty="known", born=born, frozen=frozen, memory=it.memory)
    return Value("unknown", origins=it.given, target=cls, memory=it.memory)
