"""`backward()` is called on something that has no graph.

## Flagged

```python
import torch

def train_step(model, criterion, optimizer, images, labels):
    with torch.no_grad():
        loss = criterion(model(images), labels)
    optimizer.zero_grad()
    loss.backward()  # GL401
    optimizer.step()

# run: train_step(model, criterion, optimizer, images, labels)
# raises: RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn
```

## Instead

```python
def train_step(model, criterion, optimizer, images, labels):
    loss = criterion(model(images), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

# run: train_step(model, criterion, optimizer, images, labels)
# shows: model.weight.grad is not None
```

## Why

`backward()` walks the graph that the forward recorded. What is computed under `no_grad()` or
`inference_mode()`, and what comes from `.detach()`, `.data`, a comparison or `argmax`, has none:
`RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn`. `.item()`
and `.tolist()` give Python numbers: `AttributeError: 'float' object has no attribute 'backward'`.

The mode counts where the loss is computed, not where `backward()` is called: `loss.backward()`
inside `no_grad()` works on a graph that was recorded outside.

A term of a loss can lack a graph while the others have one: `torch.autograd.grad` gives derivatives without a graph
unless `create_graph=True` asks for one. A gradient penalty or the residual of a differential equation made of such
derivatives changes the loss that is printed, and no gradient; nothing says so.

Setting `loss.requires_grad = True` silences the error, and then trains nothing.
"""

from collections.abc import Iterator

from gradlint.rule import CallEvent, Finding, FlatTerm, FunctionNode, Loss, Note, Project, Value, rule, scope


@rule("GL401", severity="error", since="0.1.0")
def backward_without_graph(project: Project) -> Iterator[Finding]:
    """Find ``backward()`` on values that are proved to carry no graph, and terms of losses that carry none."""
    for function in project.functions():
        found = {event.at: (event, value) for event, value in project.gradients.raising(function)}
        if found:
            silent = scope.expected_to_fail(function) | scope.tried(function)
            yield from (_finding(function, *each) for at, each in found.items() if at not in silent)
        for term in project.terms.flat(function):
            yield _of_term(function, term)


def _finding(function: FunctionNode, event: CallEvent, value: Value) -> Finding:
    lost = value.lost
    assert lost is not None
    name = event.name.removesuffix(".backward") if value is event.receiver else ""
    what = f"`{name}`" if name and not name.startswith("?") else "the tensor it starts from"
    call = f"{event.name.removeprefix('?.')}({'...' if event.arguments else ''})"
    reason, place, remedy = _explained(lost, value, what)
    return Finding(
        function.place(event.at),
        function.name,
        f"`{call}` raises: {reason}",
        (Note(lost.place, place),),
        help=remedy,
    )


def _of_term(function: FunctionNode, term: FlatTerm) -> Finding:
    return Finding(
        function.place(term.at),
        function.name,
        "this term of the loss gives no gradients: it comes from `autograd.grad` without a graph, and is a constant",
        (Note(term.derived, "without `create_graph=True`, derivatives have no graph"),),
        help="pass `create_graph=True` to `autograd.grad`",
        severity="warning",
    )


def _explained(lost: Loss, value: Value, what: str) -> tuple[str, str, str]:
    """What is wrong, what happened at the place of the loss, and what to do."""
    if lost.how == "data":
        lost = Loss(".data", lost.place)
    how = f"`{lost.how}`" if lost.how in _BARE or not lost.how.isidentifier() else f"`.{lost.how}()`"
    before = "call `backward()` on what still has its graph"
    if lost.how in ("no_grad", "inference_mode"):
        reason = f"{what} was computed under {how}, so it has no graph"
        return reason, "nothing is recorded here", f"compute it outside of {how}"
    if value.kind in ("number", "array"):
        kind = "a Python number" if value.kind == "number" else "an array"
        return f"{what} is {kind}, from {how}", f"{how} takes the values alone", before
    if lost.how in ("detach", "detach_", ".data"):
        return f"{what} was cut off its graph by {how}", f"{how} leaves the graph behind", before
    if lost.how == "autograd.grad":
        reason = f"{what} is computed from derivatives that have no graph"
        return (
            reason,
            "without `create_graph=True`, derivatives have none",
            "pass `create_graph=True` to `autograd.grad`",
        )
    if lost.how.startswith("torch."):
        reason = f"{what} was computed from data alone, nothing of it requires grad"
        return reason, f"{how} makes plain data", "compute it from parameters, or from leaves with `requires_grad=True`"
    reason = f"{what} comes from {how}, which has no derivative"
    return reason, "no graph leads through here", "compute a loss from the scores, not from what was decided by them"


_BARE = frozenset({"no_grad", "inference_mode", "float", "int", "bool"})
