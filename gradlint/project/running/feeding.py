"""States: what a module gives in one round, and is given in the next."""

from gradlint.model.code import Assign, Display, dotted
from gradlint.model.traverse import statements
from gradlint.project.linking.nodes import External, FunctionNode
from gradlint.project.running.flow import matched, passes_object
from gradlint.project.running.handing_back import cuts_off
from gradlint.project.running.invocation import Invocation
from gradlint.project.running.values import COMPUTED, Origin, Value


def note_fed_back(it: Invocation) -> None:
    """Note that a forward goes on from the graph that it recorded in the round before."""
    fed = [argument.value for argument in it.arguments if _is_fed_back(it, argument.value)]
    if not fed or (not it.targets and _may_cut_off(it)):
        return
    if not it.targets or any(_goes_through(it, target, fed) for target in it.targets):
        it.run.flow.fed.add(it.at)


def _may_cut_off(it: Invocation) -> bool:
    """Whether a module of nobody knows which class may be one of the project's that detach what they are given."""
    if isinstance(it.callee.target, External):
        return False
    method = it.method if it.receiver is not None and it.receiver.is_module else "forward"
    named = it.run.flows.linker.methods_named.get(method, ())
    return any(len(each.facts.parameters) > len(it.arguments) and cuts_off(each) for each in named)


def _is_fed_back(it: Invocation, value: Value) -> bool:
    """Whether a forward is given what it gave in the round before, with the graph of that round."""
    own = Origin(it.run.function, it.at) in value.origins and value.tensor & COMPUTED
    part = value.made_at == it.at or value.kind == "tensor"
    return bool(own and part) or any(_is_fed_back(it, item) for item in value.items or ())


def _goes_through(it: Invocation, target: FunctionNode, fed: list[Value]) -> bool:
    """Whether what a function of the project gives goes on from the graph of what it is given: it cuts nothing off."""
    event = it.event
    passed = matched(it.arguments, target, bound=passes_object(event, target))
    taking = [
        (Origin(target, -index - 1), passed[parameter.name])
        for index, parameter in enumerate(target.facts.parameters)
        if any(passed.get(parameter.name) is value for value in fed)
    ]
    # Of hundreds of models that are perhaps called, most take nothing under the name that a state is passed by.
    if not taking or any(map(cuts_off, it.run.flows.calls.below((target,)))):
        return False
    outline = it.run.flows.outline(target)
    for own, state in taking:
        if any(use.kind == "returned" for use in outline.uses.get(own, ())):
            return not _is_handed_back(_fed_part(it, event.names_of(state), outline.returns), own)
    return False


def _fed_part(it: Invocation, names: list[str], returned: Value | None) -> Value | None:
    """The part of a result that goes into its own call again: ``out, state = net(x, state)``."""
    items = returned.items if returned is not None else None
    for statement in statements(it.run.function.facts.body) if items else ():
        match statement:
            case Assign(targets=(Display(items=targets),), value=value) if value.at == it.at:
                parts = zip(targets, items or (), strict=False)
                return next((part for target, part in parts if dotted(target) in names), returned)
            case _:
                pass
    return returned


def _is_handed_back(part: Value | None, own: Origin) -> bool:
    """Whether a part of a result is the parameter itself, perhaps: no module has made anything of it."""
    return part is not None and part.tensor != COMPUTED and part.origins == {own}
