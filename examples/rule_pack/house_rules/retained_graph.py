"""`backward(retain_graph=True)` keeps what the graph has saved after it was used.

## Flagged

```python
import torch

x = torch.ones(3, requires_grad=True)
y = x.exp().sum()
y.backward(retain_graph=True)  # HSE101
# shows: y.grad_fn.next_functions[0][0]._saved_result is not None
```

## Instead

```python
import torch

x = torch.ones(3, requires_grad=True)
y = x.exp().sum()
y.backward()
```

## Why

`backward()` frees the buffers that were saved for it, unless it is told to retain the graph.
"""

from collections.abc import Iterator

from gradlint.rule import Attribute, Call, Constant, Finding, Project, all_expressions, rule


@rule("HSE101", severity="warning", since="1.0")
def retained_graph(project: Project) -> Iterator[Finding]:
    """Find calls of `backward` that retain the graph."""
    for function in project.functions():
        for call in all_expressions(function.facts.body):
            if isinstance(call, Call) and isinstance(call.function, Attribute) and call.function.name == "backward":
                for argument in call.arguments:
                    if argument.keyword == "retain_graph" and argument.value == Constant(argument.value.at, True):
                        yield Finding(function.place(call.at), function.name, "the graph is retained")


CASES = """
## Flagged

## Silent

### asked not to
```python
def train(loss):
    loss.backward(retain_graph=False)
```
"""
