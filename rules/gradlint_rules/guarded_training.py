"""A module that an optimizer is to train runs under `no_grad()` only: its parameters never get a gradient.

## Flagged

```python
import torch
from torch import nn

def train(model, head_model, batches):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    other = torch.optim.SGD(head_model.parameters(), lr=0.1)
    for images, labels in batches:
        with torch.no_grad():
            features = model(images)  # GL411
        loss = nn.functional.mse_loss(head_model(features), labels)
        optimizer.zero_grad()
        other.zero_grad()
        loss.backward()
        optimizer.step()
        other.step()

# run: train(model, head_model, batches)
# shows: model.weight.grad is None and head_model.weight.grad is not None
```

## Instead

```python
import torch
from torch import nn

def train(model, head_model, batches):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    other = torch.optim.SGD(head_model.parameters(), lr=0.1)
    for images, labels in batches:
        loss = nn.functional.mse_loss(head_model(model(images)), labels)
        optimizer.zero_grad()
        other.zero_grad()
        loss.backward()
        optimizer.step()
        other.step()

# run: train(model, head_model, batches)
# shows: model.weight.grad is not None
```

## Why

What runs under `no_grad()`, or in a `forward` that is decorated with it, is no part of the graph. If it is all
of the model, `backward()` raises `RuntimeError: element 0 of tensors does not require grad and does not have a
grad_fn`, and GL401 tells of that where it is sure. If something that records comes after it, `backward()` runs, the
first part gets no gradients, and the optimizer passes over it: it stays as it was, and nothing says so. If that is
the purpose, leave its parameters out of the optimizer.

A term of a loss that is computed so, by a `forward` with a decorator, is a constant: the sum is walked, and what the
term was computed from is trained as if it was not there.
"""

from collections.abc import Iterator

from gradlint.rule import Finding, FunctionNode, GuardedModule, GuardedPart, LostTerm, Note, Project, rule, scope


@rule("GL411", severity="warning", since="0.2.0")
def guarded_training(project: Project) -> Iterator[Finding]:
    """Find modules whose optimizer steps in a function that runs them under a guard only."""
    for function in project.functions():
        found = list(project.guarded_training.modules(function))
        if found and not _raises(project, function):
            silent = scope.expected_to_fail(function)
            yield from (_finding(function, each) for each in found if each.at not in silent)
        for part in project.guarded_parts.of(function):
            yield _of_part(function, part)
        for term in project.lost_terms.of(function):
            yield _of_term(function, term)


def _raises(project: Project, function: FunctionNode) -> bool:
    """Whether `backward()` has nothing to walk, so that no step follows: GL401 tells of that."""
    raising = {event.at for event, _ in project.gradients.raising(function)}
    return bool(raising) and raising == {event.at for event, _ in project.gradients.walks(function)}


def _finding(function: FunctionNode, found: GuardedModule) -> Finding:
    notes = [Note(function.place(found.step_at), f"`{found.optimizer}` steps here, and passes over it")]
    if found.guard is not None:
        notes.append(Note(found.guard.place(found.guard.facts.at), f"its `{found.guard.facts.name}` is decorated"))
    return Finding(
        function.place(found.at),
        function.name,
        f"`{found.module}` gets no gradients: it only runs where nothing is recorded, and its optimizer does nothing",
        tuple(notes),
        help=f"run it with grad on, or leave `{found.module}` out of the optimizer",
    )


def _of_part(function: FunctionNode, found: GuardedPart) -> Finding:
    return Finding(
        function.place(found.at),
        function.name,
        f"`{found.part}` gets no gradients: it only runs where nothing is recorded, and stays as it was made",
        (Note(found.optimizer, "an optimizer is made for all of the module here, and passes over it"),),
        help=f"run it with grad on, or freeze `{found.part}` and say so: `requires_grad_(False)`",
    )


def _of_term(function: FunctionNode, found: LostTerm) -> Finding:
    return Finding(
        function.place(found.at),
        function.name,
        f"`{found.name}(...)` adds nothing to the gradient: it records nothing, and is given what is trained",
        (Note(found.guard.place(found.guard.facts.at), f"`{found.guard.facts.name}` switches recording off here"),),
        help="take the guard off, and freeze parameters that must stay as they are: `requires_grad_(False)`",
    )
