"""A forward in inference code records a graph that nobody uses.

## Flagged

```python
def accuracy(model, loader):
    model.eval()
    hits, seen = 0, 0
    for images, labels in loader:
        scores = model(images)  # GL101
        hits += (scores.argmax(1) == labels).sum().item()
        seen += len(labels)
    return hits / seen

# run: accuracy(model, loader)
# keeps: > 0 bytes
```

## Instead

```python
import torch

@torch.no_grad()
def accuracy(model, loader):
    model.eval()
    hits, seen = 0, 0
    for images, labels in loader:
        scores = model(images)
        hits += (scores.argmax(1) == labels).sum().item()
        seen += len(labels)
    return hits / seen

# run: accuracy(model, loader)
```

or `with torch.no_grad():` around the loop.

## Fixed

```python
import torch

@torch.no_grad()
def accuracy(model, loader):
    model.eval()
    hits, seen = 0, 0
    for images, labels in loader:
        scores = model(images)
        hits += (scores.argmax(1) == labels).sum().item()
        seen += len(labels)
    return hits / seen
```

## Why

`model.eval()` only changes how layers such as dropout and batch norm compute. Recording goes on:
each layer keeps the tensors that `backward()` would need, for as long as its output lives. No value
is wrong, and nothing leaks, because all of it is freed with the output. What is lost is memory, at
the worst moment: for the loss of a five-layer perceptron on 1 MiB of input, 5,292,036 bytes are
kept, and none under `no_grad()`. In a loop it is twice as much, because the new graph is built
while the old output is still bound to its name.

A forward is inference when the code says so: `.eval()` was called on the model, the function, file
or loader is named so, or its result only reaches places where no gradient can flow (`.item()`,
`.argmax()`, `.tolist()`, a metric, a shape). The notes of a finding say which. A forward in the
middle of a training step whose result is only counted or logged is the same waste; the message then
says "in training code". Nothing is reported when a gradient may be wanted, as in attacks, saliency
maps, forces or test-time training, when every caller holds a guard, or when all parameters are
frozen and no graph is built.

`torch.inference_mode()` also switches recording off, but the tensors made under it can never take
part in training: `RuntimeError: Inference tensors cannot be saved for backward.` So `no_grad()` is
the one to begin with.
"""

from collections.abc import Iterator

from gradlint.rule import Finding, Fix, Forward, FunctionNode, Note, Project, rewrites, rule

_MOST_OTHERS = 5
# Words of code that takes gradients, or runs something that may.
_GRADIENTS = frozenset(
    "backward manual_backward autograd grad zero_grad requires_grad_ enable_grad fit run learn perturb attack attacker "
    "adversary generate_adversarial".split()
)


@rule("GL101", severity="warning", since="0.1.0", measures="waste")
def grad_enabled_inference(project: Project) -> Iterator[Finding]:
    """Find forwards of inference code that can run with grad on."""
    inference = project.inference
    for function in project.functions():
        # One cause, one finding: a call of a helper that is itself reported adds nothing.
        own = [f for f in inference.wasteful_forwards(function) if not any(map(inference.is_reported, f.event.targets))]
        if own and not inference.only_hands_on(function):
            yield _finding(project, own[0], own[1:])


def _finding(project: Project, first: Forward, others: list[Forward]) -> Finding:
    function = first.function
    called = f"`{first.event.name}(...)`" if not first.event.name.startswith("?") else "this call"
    return Finding(
        function.place(first.event.at),
        function.name,
        f"{called} records a graph in {_code(first)} code, and nothing will use it",
        tuple(_notes(first, others)),
        help=_help(first),
        fix=None if first.in_training else _decorate(project, function),
    )


def _code(first: Forward) -> str:
    return "training" if first.in_training else "inference"


def _help(first: Forward) -> str:
    if first.phase is not None and first.phase.trains:
        return f"put it under `with torch.set_grad_enabled({first.phase.trains}):`"
    if first.phase is not None and first.caller is not None:
        return f"put the call in `{first.caller.caller.name}` under `with torch.no_grad():`"
    return "put it under `with torch.no_grad():`"


def _notes(first: Forward, others: list[Forward]) -> Iterator[Note]:
    """The evidence, the forwards beside it, and who gets there with grad on; each place once."""
    caller = first.caller
    for cue in first.cues:
        if cue.place is not None and cue.message and (caller is None or cue.place != caller.place):
            yield Note(cue.place, cue.message)
    for other in others[:_MOST_OTHERS]:
        yield Note(first.function.place(other.event.at), "so does this one")
    if caller is not None:
        name = "the module" if caller.caller.is_module_body else f"`{caller.caller.name}`"
        yield Note(caller.place, f"{name} calls it with grad on")


def _decorate(project: Project, function: FunctionNode) -> Fix | None:
    """The decorator, unless somewhere under the function a gradient may be wanted after all."""
    facts = function.facts
    if function.is_module_body or facts.is_async:
        return None
    if any(not _GRADIENTS.isdisjoint(below.facts.words) for below in project.calls.below([function])):
        return None
    edits = rewrites.decorated(function)
    return Fix("unsafe", "decorate the function with `@torch.no_grad()`", edits) if edits else None
