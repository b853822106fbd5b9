"""The abstract run over calls of what cannot be resolved: only names speak."""

import re

from gradlint.model.code import Attribute, Call, Expression, Subscript, dotted, is_none
from gradlint.model.inference_names import TORCH_PACKAGES
from gradlint.model.record import replace
from gradlint.model.torch_calls import (
    BACKWARD_METHODS,
    CALLED_NETWORKS,
    GRADIENT_NAMES,
    LOSS_LIKE,
    MODEL_NAME,
    MODEL_ONLY_METHODS,
    OF_MANY,
    READING_NAMES,
    SELF_RETURNING_MODULE_METHODS,
    SETTINGS_NAME,
    TAKES_LOSS,
    TRAINING_NAMES,
)
from gradlint.model.torch_tensors import COMPUTING
from gradlint.model.traverse import all_of, names_in, parts, within
from gradlint.project.linking import rounds, scope
from gradlint.project.linking.backwards import is_walked
from gradlint.project.linking.nodes import ClassNode, External, FunctionNode
from gradlint.project.running import tensors
from gradlint.project.running.alike import guards_itself, named_alike, perhaps, runs_unguarded
from gradlint.project.running.invocation import Invocation, last_part
from gradlint.project.running.invoke_module import forward, loss_of, part_of_any, result_of_forward
from gradlint.project.running.invoke_project import on_project
from gradlint.project.running.values import NO_CONSTANT, PLAIN, Loss, Value, comes_from, plain

_LIKE = frozenset(
    "to type_as expand_as view_as reshape_as expand repeat view reshape unsqueeze permute transpose narrow".split()
)
_OF_TENSORS = COMPUTING - {"add", "clone", "log", "put", "where"}  # what other objects have as well
_MAKING_RECORDS = frozenset({"collections.namedtuple", "typing.NamedTuple", "dataclasses.make_dataclass"})
_CODING = re.compile(r"(encoder|decoder|transformer)s?$|_fn$")  # of data as well
_TRANSFORMS = re.compile(r"(^|[._])transforms$")  # of images
_SCHEDULER = re.compile(r"(^|[._])(?!p(ipe)?p?_)(\w*_)?(lr_?)?(sched|scheduler|plateau)(_?\w{1,2})?$", re.I)
_FREEZING = ("freeze", "requires_grad", "set_grad", "toggle_grad")


def on_unknown(it: Invocation) -> Value:
    """A call of a variable, a parameter or something that is imported from nobody knows where."""
    last = it.method or it.name
    if it.callee.kind == "unknown" and _is_class_of_records(it.callee):
        return _record(it)
    if it.name == "self.optimizers":  # of Lightning: one, or a list of them
        return Value("optimizer")
    if last in _LIKE and it.receiver is not None:
        # What it is made like gives no more than its type or its shape.
        return _converted(it, plain(it.receiver.origins))
    if last == "astype":  # numpy's, not torch's
        return Value("array")
    if any(word in last.lower() for word in _FREEZING):
        _frozen_by_name(it)
    if GRADIENT_NAMES.search(last):
        it.run.note_gradient(it.at)
        it.run.flow.used(it.given, "trained", it.at, last)
        return plain(it.carried)
    if it.given and _tells_scheduler(it):
        return it.read(last)
    if it.given and (TRAINING_NAMES.search(last) or _takes_a_loss(it)):
        it.run.flow.used(it.given, "trained", it.at, last)
        return plain(it.carried)
    if it.receiver_path is not None and it.declines_graph:
        return plain(it.given)
    if it.receiver_path is not None and it.callee.kind == "unknown" and (targets := named_alike(it)):
        it.targets = targets
        result = perhaps(it, on_project(it, targets))
        # Only the name connects them: unless all of them run a module unguarded, nothing is known.
        it.forward = it.forward and all(runs_unguarded(it, target) for target in targets)
        return result
    if it.callee.kind != "callable" and _looks_like_model(it):
        it.callee = replace(it.callee, kind="module", certainty="named")
        return forward(it, it.callee)
    if _runs_part_of_model(it) and not guards_itself(it):
        assert it.receiver is not None
        it.receiver = replace(it.receiver, kind="module", certainty="named")
        return forward(it, it.receiver)
    if (part := _named_part(it)) is not None:
        return forward(it, part)
    reads = READING_NAMES.search(last) or READING_NAMES.search(last_part(it.receiver_path or ""))
    if it.given and reads and not is_walked(it.run.function, it.at):
        return it.read(last)
    if it.callee.kind == "unknown" and it.arguments and LOSS_LIKE.search(it.name):
        return loss_of(it, replace(result_of_forward(it, plain(it.carried)), kind="tensor"))
    if it.given and _is_given_leaf(it):
        it.run.flow.used(it.given, "trained", it.at, last)
    it.opaque = True
    if last == "freeze" and it.receiver is not None and it.receiver_path is None and not it.arguments:
        return Value("module", frozen=True, certainty="named")  # ``old = net.copy().freeze()``
    if (lost := _unrecorded(it)) is not None:
        made = tensors.made("unknown", PLAIN, it.at, it.run, origins=it.carried, lost=lost)
        return replace(made, own_memory=None)  # it may be an array as well
    return _converted(it, plain(it.carried))


def _unrecorded(it: Invocation) -> Loss | None:
    """``net(states).gather(1, actions)`` under a guard of the function: if it is a tensor, it has no graph."""
    if it.receiver is None or it.receiver_path is not None or it.method not in _OF_TENSORS:
        return None
    return tensors.lost_here(it.at, it.run) if it.run.records(it.at) is False else None


def _is_class_of_records(value: Value) -> bool:
    return comes_from(value, *_MAKING_RECORDS)


def _record(it: Invocation) -> Value:
    """``SavedAction(log_prob, value)`` of ``SavedAction = namedtuple(...)``: a tuple, whatever its name sounds like."""
    fixed = it.arguments and all(argument.keyword is None and not argument.stars for argument in it.arguments)
    items = tuple(argument.value for argument in it.arguments) if fixed else None
    return Value("container", origins=it.carried, memory=it.memory, items=items)


def _converted(it: Invocation, result: Value) -> Value:
    """What comes out of ``net.to(device)`` is still the parameter ``net``, if that is a module; a tensor is another."""
    if it.receiver is None or it.method not in SELF_RETURNING_MODULE_METHODS:
        return result
    return replace(result, parameter=it.receiver.parameter, made_at=it.at)


def _is_given_leaf(it: Invocation) -> bool:
    """``guide(x_prev=image, x_hat=out)`` after ``image.requires_grad_()``: the derivative is taken there."""
    facts = it.run.function.facts
    if "requires_grad_" not in facts.words:
        return False
    leaves = {call.callee.removesuffix(".requires_grad_") for call in facts.calls if call.method == "requires_grad_"}
    assigned = it.run.flows.bindings.assigned(it.run.function)
    leaves |= {name for name, values in assigned.items() if any(map(_asks_for_gradient, values))}
    return any(given.value.kind == "tensor" and dotted(given.expression) in leaves for given in it.arguments)


def _asks_for_gradient(value: Expression) -> bool:
    """``image.clone().requires_grad_()``."""
    match value:
        case Call(function=Attribute(name="requires_grad_")):
            return True
        case _:
            return False


def _takes_a_loss(it: Invocation) -> bool:
    """``self.optim.step(loss)``, ``self._update(critic_loss)``: somebody else calls ``backward()``."""
    if not TAKES_LOSS.search(it.method or it.name):
        return False
    names = (dotted(argument.expression) or "" for argument in it.arguments)
    return any("loss" in last_part(name).lower() for name in names)


def _tells_scheduler(it: Invocation) -> bool:
    """``scheduler.step(loss)``: a learning rate's schedule takes the number; one of diffusion takes more."""
    if it.method != "step" or it.receiver is None or len(it.arguments) != 1:
        return False
    known = isinstance(it.receiver.target, External) and it.receiver.target.name.startswith("torch.optim.lr_scheduler.")
    return known or (_SCHEDULER.search(it.receiver_path or "") is not None and _takes_a_loss(it))


def _runs_part_of_model(it: Invocation) -> bool:
    """``self.vae.decode(z)``, ``clip_model.encode_text(t)``."""
    if it.receiver is None or it.callee.kind == "callable" or it.receiver_path is None:
        return False
    named = MODEL_NAME.search(last_part(it.receiver_path)) is not None
    return named and MODEL_ONLY_METHODS.search(it.method) is not None and not _is_foreign(it.receiver)


def _named_part(it: Invocation) -> Value | None:
    """``model.enc(x)``, of which only the caller knows the class."""
    if it.callee.kind != "unknown" or it.receiver is None or not it.arguments or _is_foreign(it.receiver):
        return None
    named = it.receiver_path is not None and MODEL_NAME.search(last_part(it.receiver_path)) is not None
    return part_of_any(it, Value("module", certainty="named")) if named else None


def _is_foreign(value: Value) -> bool:
    """Whether something comes out of a library that has nothing to do with torch."""
    return isinstance(value.target, External) and value.target.name.partition(".")[0] not in TORCH_PACKAGES


def _frozen_by_name(it: Invocation) -> None:
    """``freeze(model)``, ``set_requires_grad(net, False)``: what it does is in its name."""
    if any(a.value.constant is True for a in it.arguments):
        return
    if it.method == "freeze":  # ``encoder.freeze()`` of Lightning and NeMo
        it.run.mark_frozen(it.receiver_path, True)
    for argument in it.arguments:
        path = dotted(argument.expression)
        if path is not None and argument.value.kind in ("module", "unknown") and argument.value.constant is NO_CONSTANT:
            it.run.mark_frozen(path, True)


def _constructs(it: Invocation, function: Expression) -> bool:
    """``model(opt)`` and ``models[name](**kwargs)``: what is called is a class, or a function that makes a model."""
    if _is_annotated_as_class(it, function):
        return True
    positional = [argument for argument in it.arguments if not argument.stars and argument.keyword is None]
    registered = function is not it.node.function and len(it.arguments) == 1 and it.arguments[0].stars == 2
    given = it.arguments if registered else positional
    if given and all(SETTINGS_NAME.search(dotted(a.expression) or "") for a in given):
        return True
    flows, name = it.run.flows, dotted(function)
    if any(value is it.node for value in flows.bindings.assigned(it.run.function).get(name or "", ())):
        return True  # ``model = model(classes, **settings)``
    if function is it.node.function or name is None:
        return False
    held = (part for _, value in flows.bindings.values(it.run.function, name) for part in parts(value))
    made = (flows.linker.resolve(it.run.function, dotted(part) or "") for part in held if dotted(part))
    return any(isinstance(target, FunctionNode | ClassNode | External) for target in made)


def _is_annotated_as_class(it: Invocation, function: Expression) -> bool:
    """Whether a parameter is said to be a class: ``def load(path, model: type[Config])``."""
    said = it.run.function.annotation(dotted(function) or "")
    return isinstance(said, Subscript) and last_part(dotted(said.value) or "") in ("type", "Type")


def _looks_like_model(it: Invocation) -> bool:
    function = it.node.function
    while isinstance(function, Subscript):  # ``self.model["generator"](z)``, ``models[i](x)``
        function = function.value
    name = dotted(function)
    if name is None or not it.arguments or _is_foreign(it.callee) or _is_of_keras(it):
        return False
    last = last_part(name)
    if last == "head" and not _is_part_of_model(name):
        return False  # ``requests.head(url)``, of a list, of a table
    if function is not it.node.function:
        if not it.run.flows.is_of_torch(it.run.function) and name.partition(".")[0] not in it.run.function.facts.local:
            return False  # ``all_models[name](position)``: a table of functions, in a file that knows nothing of torch
        last = OF_MANY.sub("", last)
    if _constructs(it, function) or _prepares_data(it, last) or _works_on_models(it, name):
        return False
    if _CODING.search(last) and (_is_annotated_as_function(it, name) or _is_method_of_another(it, name)):
        return False
    models = it.run.flows.models
    if last in CALLED_NETWORKS and _trains(it.run.function):
        return True
    if bool(MODEL_NAME.search(last)) or name in models or last in models:
        return True
    return _stands_for_model(it, name) or _is_copied_part(it, name) or _is_one_of_models(it, name)


def _is_of_keras(it: Invocation) -> bool:
    """``model(x, training=False)``: Keras passes the mode along; no ``forward`` of the project takes it so."""
    if all(argument.keyword != "training" for argument in it.arguments):
        return False
    forwards = it.run.flows.linker.methods_named.get("forward", ())
    return all(parameter.name != "training" for each in forwards for parameter in each.facts.parameters)


def _is_annotated_as_function(it: Invocation, name: str) -> bool:
    """``rank_decoder: Callable[[int], str]``, of the function itself, one around it, or of who made the object."""
    kept = it.run.flows.bindings.kept_by_constructor(it.run.function, name)
    scope, name = (kept[0], dotted(kept[1]) or "") if kept is not None else (it.run.function, name)
    said = scope.annotated(name)
    return said is not None and any(last_part(dotted(part) or "") == "Callable" for part in within(said[1]))


def _is_method_of_another(it: Invocation, name: str) -> bool:
    """``decoder = tokenizer.decode``: a variable that stands for a method of what is no model."""
    values = [dotted(value) or "" for value in it.run.flows.bindings.assigned(it.run.function).get(name, ())]
    parts = [value.rpartition(".") for value in values]
    return bool(parts) and all(
        owner and not MODEL_NAME.search(last_part(owner)) and not MODEL_NAME.search(method)
        for owner, _, method in parts
    )


def _is_part_of_model(name: str) -> bool:
    """``self.head(z)``, ``self.model.head(z)``, not ``self.frame.head(3)``."""
    owner = name.rpartition(".")[0]
    return owner in ("", "self") or MODEL_NAME.search(last_part(owner)) is not None


def _prepares_data(it: Invocation, last: str) -> bool:
    """``self.transformer(image)`` in a data set that nothing shows to hold a network; each of ``self.transforms``."""
    if not last.lower().endswith("transformer"):
        return False
    function, owner = it.run.function, it.run.function.owner
    iterables = [each.iterable for each in rounds.loops_around(function, it.at) if last in names_in(each.target)]
    held = (dotted(part) or "" for each in iterables for part in within(each))
    if any(_TRANSFORMS.search(name) for name in held):
        return True
    if owner is None:
        return False
    bases = (base.name for base in it.run.flows.linker.ancestors(owner) if isinstance(base, External))
    return any(base.endswith("Dataset") for base in bases)


def _works_on_models(it: Invocation, name: str) -> bool:
    """``round_model(model, loader)``: a name that nothing in sight is assigned to, of what is given a model."""
    if "." in name or it.callee.parameter is not None or it.run.flows.bindings.values(it.run.function, name):
        return False
    given = ((argument.value, dotted(argument.expression) or "") for argument in it.arguments)
    return any(value.is_module or MODEL_NAME.search(last_part(path)) for value, path in given)


def _stands_for_model(it: Invocation, name: str) -> bool:
    """Whether a variable is but another name of a model: ``f = model``."""
    names = {dotted(value) for value in it.run.flows.bindings.assigned(it.run.function).get(name, ())}
    return bool(names) and all(other is not None and MODEL_NAME.search(last_part(other)) for other in names)


def _is_one_of_models(it: Invocation, name: str) -> bool:
    """Whether a variable is what a loop takes out of ``models``, ``self.nets.values()``, and of nothing else."""
    listed = it.run.flows.calls.instances.gone_over(it.run.function, name)
    return bool(listed) and all(_are_models(last_part(dotted(each) or "")) for each in listed)


def _are_models(name: str) -> bool:
    one = OF_MANY.sub("", name)
    return one != name and MODEL_NAME.search(one) is not None and not _CODING.search(one)


def _is_copied_part(it: Invocation, name: str) -> bool:
    """``self.fast, self.slow = fast, deepcopy(fast)`` in a module, which calls them: they are modules as well."""
    function, flows = it.run.function, it.run.flows
    if not name.startswith("self.") or not flows.calls.modules.has_method(function):
        return False
    made = [(where, value) for where, value in flows.bindings.values(function, name) if not is_none(value)]
    return bool(made) and all(_is_copied(it, name, where, value) for where, value in made)


def _is_copied(it: Invocation, name: str, where: FunctionNode, value: Expression) -> bool:
    """Whether a value is what a constructor is given, or makes, and makes a copy of, or that copy."""
    if "deepcopy" not in where.facts.words:
        return False
    parameters = {parameter.name for parameter in where.facts.parameters}
    copies = [call for call in all_of(Call, where.facts.body) if _copies(it, where, call)]
    named = {dotted(copy.arguments[0].value) or "" for copy in copies}
    copied = {path for path in named if path in parameters or path.startswith("self.")}
    made = scope.unconverted(value)
    if name in copied or dotted(made) in copied:
        return True
    return any(copy is made and dotted(copy.arguments[0].value) in copied for copy in copies)


def _copies(it: Invocation, where: FunctionNode, call: Call) -> bool:
    target = it.run.flows.linker.resolve(where, dotted(call.function) or "?")
    return target == External("copy.deepcopy") and len(call.arguments) == 1


def _trains(function: FunctionNode) -> bool:
    """Whether a function, or a method beside it, runs ``backward()``."""
    beside = function.owner.methods if function.owner is not None else ()
    return any(not f.facts.words.isdisjoint(BACKWARD_METHODS) for f in (function, *beside))
