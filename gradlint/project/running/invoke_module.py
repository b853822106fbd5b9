"""The abstract run over calls of modules and of their methods."""

import re

from gradlint.model.record import replace
from gradlint.model.torch_calls import (
    CLASS_NAMED,
    FORWARD_METHODS,
    LOSS_LIKE,
    METRIC_LIKE,
    MODULE_METHODS,
    SELF_RETURNING_MODULE_METHODS,
    TRIVIAL_MODULES,
)
from gradlint.model.torch_names import GUARDED_METHODS
from gradlint.model.torch_tensors import UNCLEAR_MODULES
from gradlint.project.linking.attached import is_assigned, is_attached
from gradlint.project.linking.nodes import ClassNode, External
from gradlint.project.running import recording, tensors
from gradlint.project.running.alike import MOST_CANDIDATES, guards_itself, named_alike, perhaps
from gradlint.project.running.feeding import note_fed_back
from gradlint.project.running.flow import MOST_TARGETS, SideEffects
from gradlint.project.running.forward_parts import in_parts
from gradlint.project.running.invocation import Invocation
from gradlint.project.running.invoke_project import hands_back, on_project
from gradlint.project.running.labels import is_cut_off
from gradlint.project.running.sets import ALONE
from gradlint.project.running.values import (
    ANY,
    COMPUTED,
    LEAF,
    NO_CONSTANT,
    NUMBER,
    PLAIN,
    UNKNOWN,
    Certainty,
    Loss,
    Value,
    comes_from,
    elsewhere,
    plain,
)
from gradlint.project.running.without_tensors import without_tensors

_PLAIN_LOSS = re.compile(
    r"(^|[._])(criterion|loss_?(fn|func|function|f)|(ce|bce|mse|l1|nll|cross_entropy)(_?loss)?|criteria|crit)$", re.I
)
# What models of ``torch.hub`` offer to users, who hand them texts and files: it guards itself, as far as is known.
_FOR_USERS = frozenset({"score", "translate", "sample", "transcribe", "predict", "synthesize", "synthesise", "infer"})
_LISTING = frozenset({"children", "modules", "named_children", "named_modules", "values", "items"})
_ADDING = frozenset("add_module append extend insert register_module".split())  # to a container
_HOLDING = re.compile(r"Embedding|AdaptiveLogSoftmax|LinearCrossEntropy")  # small, but with parameters


def on_module(it: Invocation) -> Value:
    """A method of a module."""
    module = it.receiver
    assert module is not None
    if it.method in ("values", "items") and _is_dict(module):
        return module_method(it, module)
    if it.method in SELF_RETURNING_MODULE_METHODS or it.method in MODULE_METHODS:
        return module_method(it, module)
    if it.method in _ADDING and isinstance(module.target, External):
        _add_to(it, module)
    if isinstance(module.target, ClassNode):
        targets = it.run.flows.calls.callables.methods(module.target, it.method)
        if targets:
            it.targets = targets
            return on_project(it, targets)
    if it.callee.kind == "module":
        return forward(it, it.callee)
    if it.declines_graph:
        return plain(it.given)
    if (module.target is None or is_loaded(module) or _is_other_than_said(it, module)) and (targets := named_alike(it)):
        it.targets = targets
        result = perhaps(it, elsewhere(on_project(it, targets)))
        it.effects = SideEffects()  # or another method of that name
        return result
    if module.target is None and it.arguments and (part := part_of_any(it, module)) is not None:
        return forward(it, part)
    if it.method == "freeze":
        it.run.mark_frozen(it.receiver_path, True)
    if it.method in GUARDED_METHODS or not FORWARD_METHODS.search(it.method) or not it.arguments or guards_itself(it):
        return plain(it.given)
    if _is_of_hub(module) and it.method in _FOR_USERS:
        return plain(it.given)
    if is_attached(it.run.flows.linker, it.run.flows.bindings, it.method):
        return plain(it.given)
    if isinstance(module.target, ClassNode) and is_assigned(it.run.flows.linker, module.target, it.method):
        return plain(it.given)  # nobody has looked what that does
    return forward(it, module)


def _is_of_hub(module: Value) -> bool:
    return isinstance(module.target, External) and module.target.name == "torch.hub.load"


def _add_to(it: Invocation, module: Value) -> None:
    """A container of modules has another part. What is made of a caller's modules alone is as frozen as they are."""
    part = it.arguments[-1].value if it.arguments else UNKNOWN
    own = part.parameter if part.kind == "module" else None
    if part.kind == "module" and part.frozen:
        return
    if module.frozen:
        _change(it, module, replace(module, frozen=None, items=None, parameter=own))
    elif module.parameter not in (None, own):
        _change(it, module, replace(module, parameter=None))


def part_of_any(it: Invocation, whole: Value) -> Value | None:
    """``model.enc(x)``: the part, if all that has one of that name in the project is a module with parameters there."""
    flows = it.run.flows
    if flows.linker.methods_named.get(it.method, ()):
        return None
    makers = [f for f in flows.linker.mentions.of(it.method) if f.facts.name == "__init__" and f.owner is not None]
    classes = [f.owner for f in makers if f.owner is not None and flows.bindings.attribute(f.owner, it.method)]
    if not 0 < len(classes) <= MOST_CANDIDATES or not all(map(flows.calls.modules.is_module_class, classes)):
        return None
    held = [flows.attribute(cls, it.method) or UNKNOWN for cls in classes]
    if not all(_has_parameters(it, value) for value in held):
        return None
    return replace(whole, target=held[0].target if len(held) == 1 else None, parameter=None, items=None)


def _has_parameters(it: Invocation, value: Value) -> bool:
    """Whether a value is a module of a known class that has something to train."""
    if value.kind != "module" or value.target is None or value.frozen:
        return False
    return not isinstance(value.target, ClassNode) or it.run.flows.calls.modules.has_parameters(value.target)


def _is_other_than_said(it: Invocation, module: Value) -> bool:
    """Whether a parameter's class, as the function says it, has no such method: callers hand over something else."""
    if not isinstance(module.target, ClassNode) or module.parameter is None:
        return False
    bases = [base.name for base in it.run.flows.linker.ancestors(module.target) if isinstance(base, External)]
    return all(base.startswith("torch.nn.") for base in bases)


def _is_dict(module: Value) -> bool:
    return isinstance(module.target, External) and module.target.name.endswith(".ModuleDict")


def is_loaded(module: Value) -> bool:
    """Whether something came out of a file: it may be of any class of the project."""
    return comes_from(module, "torch.jit.load", "torch.load")


def module_method(it: Invocation, module: Value) -> Value:
    """A method that every module has."""
    method, changed = it.method, module
    if method in ("eval", "train"):
        at = (it.run.function, it.at)
        changed = replace(module, training=training_after(it), mode_at=at, certainty=_used(module))
    elif method == "requires_grad_":
        flag = it.argument(0, "requires_grad")
        changed = replace(module, frozen=_frozen_by(flag), certainty=_used(module))
    elif method in ("parameters", "named_parameters", "buffers"):
        flags = PLAIN if method == "buffers" else LEAF if recording.is_trainable(it, module) else PLAIN | LEAF
        return Value("parameters", of=it.receiver_path, target=None, tensor=flags, born=module.born)
    elif method in _LISTING:
        part = replace(module, target=None, items=None, constant=NO_CONSTANT)
        named = Value("container", items=(NUMBER, part))
        return Value("container", items=(part if method in ("children", "modules", "values") else named,))
    elif method not in SELF_RETURNING_MODULE_METHODS:
        return UNKNOWN
    if changed is not module:
        _change(it, module, changed)
    return changed


def _frozen_by(flag: Value | None) -> bool | None:
    if flag is None:
        return False
    return not flag.constant if isinstance(flag.constant, bool) else None


def training_after(it: Invocation) -> bool | None:
    """Whether ``eval()``, ``train()`` or ``train(mode)`` leaves a module in training mode; None if that depends."""
    if it.method == "eval":
        return False
    mode = it.argument(0, "mode")
    if mode is None:
        return True
    return mode.constant if isinstance(mode.constant, bool) else None


def _used(module: Value) -> Certainty:
    return "known" if module.certainty == "known" else "used"


def _change(it: Invocation, module: Value, changed: Value) -> None:
    """The module was changed in place: its name sees it, and so does every other name of it."""
    it.run.replace_everywhere(module, changed)
    path = it.receiver_path
    if path is not None:
        for known in [k for k in it.run.env if k.startswith(path + ".")]:
            if it.run.env[known].kind == "module":
                del it.run.env[known]
        it.run.env[path] = changed


def forward(it: Invocation, module: Value) -> Value:
    """A call of a module itself, or of a method that runs it."""
    name = module.target.name if isinstance(module.target, External) else ""
    is_loss = isinstance(module.target, ClassNode) and LOSS_LIKE.search(module.target.name)
    if isinstance(module.target, ClassNode):
        it.targets = it.run.flows.calls.callables.methods(module.target, "__call__")
        it.effects = it.run.effects_of(it.targets) if it.targets else None
    named = LOSS_LIKE.search(it.name) and not recording.is_layer(module)  # ``self.l1 = nn.Linear(...)`` is none
    if TRIVIAL_MODULES.search(name) or named or is_loss:
        return _loss(it, name)
    if METRIC_LIKE.search(it.name):
        return plain(it.given)
    bare = isinstance(module.target, ClassNode) and not it.run.flows.calls.modules.has_parameters(module.target)
    if bare or module.frozen:  # on plain input it records nothing
        return _computed_alone(it) if bare and it.targets else plain(it.given)
    if CLASS_NAMED.search(it.name) and module.certainty != "known":
        return UNKNOWN  # ``model_class(size)``, whatever a signature says
    if (other := without_tensors(it, module)) is not None:
        return other
    if not it.targets and it.declines_graph:
        return plain(it.given)
    it.forward = True
    if isinstance(module.target, ClassNode):
        it.forward = any(hands_back(it, t, module) for t in it.targets) if it.targets else True
    note_fed_back(it)
    result = in_parts(it, result_of_forward(it, it.fresh(it.given)))
    if result.tensor & COMPUTED and recording.has_graph(it, module):
        return replace(result, kind="tensor", tensor=COMPUTED)
    return result


def _computed_alone(it: Invocation) -> Value:
    """What a module of the project without parameters gives, where its code shows that it computes a tensor."""
    if not _gives_tensor(it):
        return plain(it.given)
    return replace(tensors.computed(it.compared, it.given, it.at, it.run), lost=None)


def _gives_tensor(it: Invocation) -> bool:
    """Whether functions of the project show that they make a tensor, perhaps with a graph, of one they are given."""
    given = any(argument.value.is_tensor for argument in it.arguments)
    if not given or any(map(it.run.flows.is_running, it.targets)):
        return False
    found = [it.run.flows.outline(target).returns for target in it.targets]
    return bool(found) and all(r is not None and r.kind == "tensor" and bool(r.tensor & COMPUTED) for r in found)


def _loss(it: Invocation, name: str) -> Value:
    """What a loss or a module without parameters gives. torch's own compute it from what they are given."""
    if UNCLEAR_MODULES.search(name):
        return plain(it.given)
    if name and not _HOLDING.search(name):
        return tensors.computed(it.compared, it.given, it.at, it.run)
    result = result_of_forward(it, plain(it.given))
    if not it.targets:
        return loss_of(it, replace(result, kind="tensor"))
    return replace(result, kind="tensor") if result.kind == "unknown" and _gives_tensor(it) else result


def loss_of(it: Invocation, result: Value) -> Value:
    """What a loss gives that is known by its name alone: no graph, if nothing that it compares has one.

    A loss may have parameters of its own; then somebody asks for them.
    """
    if not (it.arguments and any(map(is_cut_off, it.compared)) and _PLAIN_LOSS.search(it.name)):
        return result
    if any(f"{it.name}.parameters" in {c.callee for c in f.facts.calls} for f in it.run.function.module.functions):
        return result
    compared = tensors.computed(it.compared, it.given, it.at, it.run)
    return compared if compared.tensor == PLAIN else result


def result_of_forward(it: Invocation, result: Value) -> Value:
    """The result with what can be said of its tensors: they are new, and under a guard they have no graph.

    That a forward hands out a parameter, or its input, or switches recording on, would be seen in code of the
    project; of what cannot be seen the name is evidence enough.
    """
    run = it.run
    tensor = COMPUTED | PLAIN
    losses: list[Loss | None] = []
    if it.targets:
        if not run.follows or len(it.targets) > MOST_TARGETS:
            return result
        for target in it.targets:
            returned = run.flows.outline(target).returns
            known = returned is not None and returned.is_tensor and not run.flows.is_running(target)
            tensor |= returned.tensor if known and returned is not None else ANY
            bare = known and returned is not None and returned.tensor == PLAIN and returned.own_memory
            losses.append(returned.lost if bare and returned is not None else None)
    lost = tensors.lost_here(it.at, run)
    if lost is not None and not tensor & LEAF and not (it.effects is not None and it.effects.records):
        return replace(result, tensor=PLAIN, lost=lost, born=run.epoch, memory=ALONE[it.at], own_memory=True)
    if run.records(it.at) is False:
        return result
    if losses and all(losses):  # its own code switches recording off
        return replace(result, tensor=PLAIN, lost=losses[0], born=run.epoch, memory=ALONE[it.at], own_memory=True)
    return replace(result, tensor=tensor, born=run.epoch, memory=ALONE[it.at], own_memory=True)
