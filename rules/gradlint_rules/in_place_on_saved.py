"""A tensor that autograd saved is changed in place before `backward()`.

## Flagged

```python
import torch

weight = torch.ones(3, requires_grad=True)
y = torch.sigmoid(weight)
y += 1  # GL217
y.sum().backward()
# raises: RuntimeError: one of the variables needed for gradient computation has been modified by an inplace operation
```

## Instead

```python
import torch

weight = torch.ones(3, requires_grad=True)
y = torch.sigmoid(weight)
y = y + 1
y.sum().backward()
# shows: weight.grad is not None
```

## Why

The derivative of `sigmoid` is computed from its result, so autograd keeps the result, with the number of its
last change. `backward()` finds that it was changed since: `RuntimeError: one of the variables needed for
gradient computation has been modified by an inplace operation`. The same is true of `tanh`, `exp`, `softmax`,
`sqrt`, `relu` and others; a sum or a product with a number keeps nothing of its result, and may be followed by
an operation in place. A change of a `.detach()`ed alias is noticed too, one of `.data` is not.
"""

from collections.abc import Iterator

from gradlint.rule import COMPUTED, ChangeEvent, Finding, FunctionNode, Note, Project, rule, scope

_SAVING = frozenset("sigmoid tanh exp softmax log_softmax sqrt rsqrt relu reciprocal expm1 exp2 tan elu selu".split())


@rule("GL217", severity="warning", since="0.2.0")
def in_place_on_saved(project: Project) -> Iterator[Finding]:
    """Find changes in place of results that their own operation saved, with a ``backward()`` to come."""
    for function in project.functions():
        words = function.facts.words
        if "backward" not in words or words.isdisjoint(_SAVING):
            continue
        flow = project.flow(function)
        silent = scope.expected_to_fail(function) | scope.tried(function)
        walks = [event.at for event in flow.calls.values() if event.method == "backward"]
        for change in flow.changes.values():
            made = flow.calls.get(change.owner.made_at or -1)
            saved = made is not None and made.method in _SAVING and change.owner.own_memory is True
            if (
                saved
                and change.owner.tensor == COMPUTED
                and change.at not in silent
                and (any(at > change.at for at in walks) and not (change.path or "").endswith(".data"))
            ):
                yield _finding(function, change, made.method if made is not None else "")


def _finding(function: FunctionNode, change: ChangeEvent, saving: str) -> Finding:
    made = change.owner.made_at
    return Finding(
        function.place(change.at),
        function.name,
        f"`backward()` raises: `{saving}` saved its result `{change.path or ''}`, and it is changed here",
        (Note(function.place(made), "it is computed, and saved, here"),) if made is not None else (),
        help="compute a new tensor instead of changing this one",
    )


CASES = r"""
## Flagged

### by a method, by items
```python
import torch

def loss_of(x):
    weight = torch.ones(3, requires_grad=True)
    probabilities = torch.softmax(weight * x, dim=0)
    probabilities[0] = 0.0  # GL217
    probabilities.sum().backward()

# run: loss_of(torch.ones(3))
# raises: RuntimeError: one of the variables needed for gradient computation has been modified by an inplace operation
```

## Silent

### operations that keep nothing of their result
```python
import torch

weight = torch.ones(3, requires_grad=True)
y = weight * 2
y += 1
z = weight.sum()
z *= 2
(y.sum() + z).backward()
# shows: weight.grad.tolist() == [4.0, 4.0, 4.0]
```

### after backward, or without a graph
```python
import torch

weight = torch.ones(3, requires_grad=True)
y = torch.sigmoid(weight)
y.sum().backward()
with torch.no_grad():
    z = torch.sigmoid(weight)
z += 1
y = y.detach().clone()
y += 1
```
"""
