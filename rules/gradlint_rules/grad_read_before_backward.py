"""`.grad` is read where no `backward()` can have run: it is `None`.

## Flagged

```python
import torch

x = torch.tensor(2.0, requires_grad=True)
y = x * x
print(x.grad)  # GL202
# shows: x.grad is None
```

```python
import torch

def fit(rows, targets, lr=0.1):
    weight = torch.zeros(4, requires_grad=True)
    for _ in range(100):
        loss = ((rows @ weight - targets) ** 2).mean()
        with torch.no_grad():
            weight -= lr * weight.grad  # GL202
    return weight

# run: fit(rows, targets)
# raises: TypeError: unsupported operand type(s) for *: 'float' and 'NoneType'
```

## Instead

```python
import torch

x = torch.tensor(2.0, requires_grad=True)
y = x * x
y.backward()
print(x.grad)
# shows: x.grad.item() == 4.0
```

## Why

A forward computes no gradient. `.grad` is `None` until `backward()` has run on something computed
from the tensor. Printed, it is `None` in silence. Used, it raises: `TypeError: unsupported operand
type(s) for *: 'float' and 'NoneType'`, `AttributeError: 'NoneType' object has no attribute
'zero_'`. The second is typical of loops that zero the gradient first: in the first round there is
none yet. Ask `if weight.grad is not None`, or zero it after the step.
"""

from collections.abc import Iterator

from gradlint.rule import PLAIN, AttributeEvent, Finding, FunctionNode, Note, Project, rounds, rule, scope


@rule("GL202", severity="warning", since="0.1.0")
def grad_read_before_backward(project: Project) -> Iterator[Finding]:
    """Find reads of ``.grad`` that no ``backward()`` can have preceded."""
    for function in project.functions():
        found = [event for event in project.gradients.reads(function) if _is_early(event)]
        if found:
            silent = scope.expected_to_fail(function) | scope.tried(function)
            yield from (_finding(function, event) for event in found if event.at not in silent)


def _is_early(event: AttributeEvent) -> bool:
    if not event.fresh or event.tested or event.guarded:
        return False
    # What does not require grad is often shown to have no gradient; to use one is another matter.
    return event.dereferenced or not (event.owner.is_tensor and event.owner.tensor == PLAIN)


def _finding(function: FunctionNode, event: AttributeEvent) -> Finding:
    name = (event.path or "").removesuffix(".grad")
    made = event.owner.made_at
    what, since = (f"`{name}.grad`", f"`{name}`") if name else ("`.grad`", "the tensor")
    then = f"{_when(function, event)}{' and using it raises' if event.dereferenced else ''}"
    return Finding(
        function.place(event.at),
        function.name,
        f"{what} is None {then}: no `backward()` can have run since {since} was made",
        (Note(function.place(made), "it is made here"),) if made is not None else (),
        help=f"read it after `backward()`, or ask `if {name or 'x'}.grad is not None`",
        severity="error" if event.dereferenced else None,
    )


def _when(function: FunctionNode, event: AttributeEvent) -> str:
    loop = rounds.innermost_loop(function, event.at)
    return "here" if loop is None or event.owner.made_at in loop else "here in the first round"
