"""A training loop steps without ever zeroing the gradients: each step is made with the sum of all so far.

## Flagged

```python
import torch

def train(model, criterion, batches):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for images, labels in batches:
        loss = criterion(model(images), labels)
        loss.backward()
        optimizer.step()  # GL406

# run: train(model, criterion, batches[:1] * 2)
# shows: model.weight.grad.abs().sum() > 0
```

## Instead

```python
import torch

def train(model, criterion, batches):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for images, labels in batches:
        optimizer.zero_grad()
        loss = criterion(model(images), labels)
        loss.backward()
        optimizer.step()

# run: train(model, criterion, batches[:1] * 2)
```

## Why

`backward()` adds to `.grad`, and `step()` leaves it there. Without `zero_grad()` the second step goes along the
sum of two gradients, the hundredth along the sum of a hundred: the effective learning rate grows, momentum is
added to momentum, and the loss swings instead of settling. Nothing raises.

Zeroing once before the loop is not enough, nor is zeroing another optimizer: in a GAN the generator's
`backward()` leaves gradients in the discriminator too. Nor is zeroing on another way through the loop, where
`if` chooses between two whole steps of which one forgets it.

`LBFGS` makes a loop of its own: one `step(closure)` runs the closure up to `max_iter` times, so the closure has to
zero the gradients.

Steps in every few rounds only, with `zero_grad()` behind the same `if`, are gradient accumulation, and fine.
"""

from collections.abc import Iterator

from gradlint.rule import Act, Finding, FunctionNode, Note, Place, Project, rule


@rule("GL406", severity="warning", since="0.2.0")
def unzeroed_grad(project: Project) -> Iterator[Finding]:
    """Find loops that run ``backward()`` and step with an optimizer whose gradients nothing in the loop zeroes."""
    for function in project.functions():
        if project.order.steps.acts(function):
            found = [*project.unzeroed.of(function)]
            yield from (_finding(function, *each) for each in found)
            for at, name, backward in project.unzeroed.by_hand(function):
                yield _by_hand(function, at, name, backward)
            places = {step.at for step, _, _ in found}
            for at, name, closure, backward in project.unzeroed.closures(function):
                if at not in places:
                    yield _by_closure(function, at, name, closure.place(backward.at))


def _finding(function: FunctionNode, step: Act, backward: Act, elsewhere: Act | None) -> Finding:
    notes = [Note(function.place(backward.at), "`backward()` adds to the gradients")]
    if step.inside is not None:
        inner, at = step.inside
        notes.append(Note(inner.place(at), "the step is made here"))
    if elsewhere is not None:
        inner, at = elsewhere.inside or (function, elsewhere.at)
        notes.append(Note(inner.place(at), "this zeroes them only where it is done instead"))
    lack = (
        "the sum of the gradients of all rounds: nothing in the loop zeroes them"
        if elsewhere is None
        else "the gradients of earlier rounds as well: nothing on this way through the loop zeroes them"
    )
    return Finding(
        function.place(step.at),
        function.name,
        f"`{step.path}` steps with {lack}",
        tuple(notes),
        help=f"call `{step.path}.zero_grad()` in the loop, before `backward()`",
    )


def _by_hand(function: FunctionNode, at: int, name: str, backward: Act) -> Finding:
    return Finding(
        function.place(at),
        function.name,
        f"`{name}` is changed by the sum of the gradients of all rounds: nothing in the loop zeroes them",
        (Note(function.place(backward.at), "`backward()` adds to the gradients"),),
        help=f"set `{name}.grad = None` after the update",
    )


def _by_closure(function: FunctionNode, at: int, name: str, backward: Place) -> Finding:
    return Finding(
        function.place(at),
        function.name,
        f"`{name}` runs the closure many times in one step, and goes along the sum of all gradients so far",
        (Note(backward, "`backward()` adds to the gradients"),),
        help=f"call `{name}.zero_grad()` in the closure, before `backward()`",
    )
