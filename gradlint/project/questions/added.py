"""What is added to something, round by round: whether it has a graph, and which loop's rounds add it."""

import re
from collections.abc import Iterator, Set

from gradlint.model.code import Assign, Call, Display, Expression, dotted
from gradlint.model.torch_calls import BACKWARD_METHODS
from gradlint.model.traverse import statements
from gradlint.project.linking import rounds, scope
from gradlint.project.questions.keeping import assigned_to, has_items_replaced, is_detached_before, is_rebound
from gradlint.project.running.flow import Flow, is_bound, matched
from gradlint.project.running.growth import Growth
from gradlint.project.running.spelt import parts
from gradlint.project.running.values import COMPUTED, Origin, Value

_LOSS = re.compile(r"(^|[._])(\w*_)?loss(_\w+)?$")


def is_of_one_graph(flow: Flow, growth: Growth) -> bool:
    """Whether all rounds of a loop record one graph, which is walked after it: it would be there without the growth.

    What a round computes goes into the next one, or is put somewhere else, too, and what comes of that is trained on.
    """
    loop = rounds.innermost_loop(flow.function, growth.at)
    if growth.outlives or loop is None:
        return False
    events = [flow.calls[o.at] for o in growth.added.origins if o.function is flow.function and o.at in flow.calls]
    made = [event for event in events if event.forward and event.at in loop]
    fed = any(
        Origin(flow.function, event.at) in argument.value.origins for event in made for argument in event.arguments
    )
    beside = [each.added.origins for each in flow.growths.values() if each is not growth and each.at in loop]
    held = any(Origin(flow.function, event.at) in origins for event in made for origins in beside)
    walks = {walk.at for walk in flow.walks}
    if not (fed or held) or any(walks & around for around in rounds.bodies_around(flow.function, growth.at)):
        return False
    return any(use.kind == "trained" for e in made for use in flow.uses.get(Origin(flow.function, e.at), ()))


def loop_of(flow: Flow, at: int, added: Value, path: str | None) -> frozenset[int] | None:
    """The loop whose rounds add to a variable: ``for name, loss in losses.items()`` goes through one round's graph."""
    inmost = rounds.innermost_loop(flow.function, at)
    if inmost is None or path is None or any(origin.at in inmost for origin in added.origins):
        return inmost
    begun = {value.at for name, value in scope.assigned(flow.function) if name == path.partition(".")[0]}
    around = [loop for loop in rounds.bodies_around(flow.function, at) if any(o.at in loop for o in added.origins)]
    loop = around[-1] if around else inmost
    return inmost if begun & loop else loop


def loses_graph(flow: Flow, at: int, loop: frozenset[int] | None, names: set[str], held: list[Expression]) -> bool:
    """Whether names stand for what may have no graph at a place: detached, replaced or bound anew, they or holders."""
    function = flow.function
    owners = {part for name in names for part in (name.partition("[")[0], name.rpartition(".")[0])} - {""}
    concerned = names | owners | set(filter(None, map(dotted, held)))
    if any(has_items_replaced(function, name) for name in concerned) or is_detached_before(
        function, loop, concerned, at
    ):
        return True  # on one way at least, or in part
    holders = {name.partition("[")[0] for name in names if "[" in name} | set(filter(None, map(dotted, held)))
    if holders and _is_replaced_by_others(flow, holders):
        return True
    return any(is_rebound(flow, loop, name, at) for name in concerned)


def _is_replaced_by_others(flow: Flow, names: Set[str]) -> bool:
    """Whether what is handed a dict by one of some names may put others in the place of its items: ``read(losses)``."""
    parameters = {parameter.name for parameter in flow.function.facts.parameters}
    alone = scope.standing_alone(flow.function)
    for event in flow.calls.values():
        given = [argument for argument in event.arguments if dotted(argument.expression) in names]
        if given and event.opaque and event.name in parameters and event.at in alone:
            return True  # nobody knows what that does
        for callee in event.targets if given else ():
            passed = matched(event.arguments, callee, bound=is_bound(event, callee))
            values = [argument.value for argument in given]
            if any(value in values and has_items_replaced(callee, name) for name, value in passed.items()):
                return True
    return False


def shows_graph(flow: Flow, added: Value, forwards: list[Origin]) -> bool:
    """Whether code shows that forwards gave a tensor that is added: what unknown code made of it may be numbers."""
    if added.kind != "container":
        direct = added.made_at in {origin.at for origin in forwards} and (added.is_tensor or added.own_memory)
        return bool(added.kind == "tensor" or direct) and not added.origins.isdisjoint(forwards)
    known = added.items is not None or added.made_at in flow.dicts
    return not known or any(shows_graph(flow, item, forwards) for item in parts(flow, added))


def holds_computed(flow: Flow, added: Value, held: list[Expression]) -> bool:
    """Whether a part of what is added has a graph: a tuple or a dict that a call gives, or each item of one."""
    own = parts(flow, added) if added.items or added.kind == "container" else ()
    return any(part.tensor == COMPUTED for part in (*own, *items_of(flow, added, held)))


def is_given_computed(flow: Flow, added: Value, names: Set[str]) -> bool:
    """Whether what a name holds was given with a graph by the one call that it is bound to: ``loss, rate = step(x)``.

    What is called in between may change it in place, for all that is known, and leaves it its graph.
    """
    return any(
        len(given := [*_given_to(flow, name)]) == 1
        and given[0] is not None
        and given[0].tensor == COMPUTED
        and not given[0].origins.isdisjoint(added.origins)
        for name in names
    )


def _given_to(flow: Flow, name: str) -> Iterator[Value | None]:
    """What a name is bound to by calls; None for whatever else it is bound to."""
    for bound, value in scope.assigned(flow.function):
        if bound == name and not isinstance(value, Call):
            yield None
    for statement in statements(flow.function.facts.body):
        if isinstance(statement, Assign) and isinstance(statement.value, Call):
            event = flow.calls.get(statement.value.at)
            for target in statement.targets:
                items = target.items if isinstance(target, Display) else ()
                if dotted(target) == name:
                    yield event.result if event is not None else None
                for number in (n for n, item in enumerate(items) if dotted(item) == name):
                    results = event.result.items if event is not None else None
                    yield results[number] if results is not None and len(results) == len(items) else None


def items_of(flow: Flow, added: Value, held: list[Expression]) -> Iterator[Value]:
    """What is known of the items that something added is one of: a call gives them, spelt out, in a tuple or a dict."""
    made = {value.at for each in held for name, value in scope.assigned(flow.function) if name == dotted(each)}
    known = (at for at in sorted(made) if at in flow.calls and Origin(flow.function, at) in added.origins)
    return (part for at in known for part in parts(flow, flow.calls[at].result))


def is_derived_again(flow: Flow, added: Value, *, walked: Set[str]) -> bool:
    """Whether a derivative with a graph of its own is taken of what is added, which keeps that graph anyway.

    What ``backward()`` walks, by these names, may have been computed from such derivatives of other things.
    """
    for event in flow.calls.values():
        wanted = [a.value.constant for a in event.arguments if a.keyword == "create_graph"]
        itself = event.method in BACKWARD_METHODS or any(dotted(a.expression) in walked for a in event.arguments)
        if any(flag is not False for flag in wanted) and (itself or not walked):
            given = (event.receiver, *(argument.value for argument in event.arguments))
            if any(value is not None and value.origins & added.origins for value in given):
                return True
    return False


def is_computed_loss(flow: Flow, name: str) -> bool:
    """Whether what is called a loss is given by something that is handed in: ``aux_loss = aux(out)``."""
    if not _LOSS.search(name):
        return False
    found: list[Expression] = []
    for statement in statements(flow.function.facts.body):
        if isinstance(statement, Assign):
            for target in statement.targets:
                found.extend(assigned_to(target, statement.value, name))
    made = [flow.calls.get(value.at) for value in found if isinstance(value, Call)]
    return len(made) == len(found) == 1 and made[0] is not None and made[0].opaque and not made[0].targets
