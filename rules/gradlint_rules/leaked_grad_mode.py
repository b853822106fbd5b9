"""A grad mode is switched and never switched back.

## Flagged

```python
import torch

def predict(model, images):
    model.eval()
    torch.set_grad_enabled(False)  # GL311
    return model(images).argmax(1)

# run: predict(model, images)
# shows: not torch.is_grad_enabled()
```

## Instead

```python
import torch

def predict(model, images):
    model.eval()
    with torch.set_grad_enabled(False):
        return model(images).argmax(1)

# run: predict(model, images)
# shows: torch.is_grad_enabled()
```

or, for a fixed `False`, `torch.no_grad()`.

## Fixed

```python
import torch

@torch.no_grad()
def predict(model, images):
    model.eval()
    torch.set_grad_enabled(False)
    return model(images).argmax(1)
```

## Why

`torch.set_grad_enabled(False)` acts at once and for the whole thread; only leaving an enclosing
`with` undoes it. After the function has returned, its caller runs with grad off too, and so does
all code after it. The next training step raises `RuntimeError: element 0 of tensors does not
require grad and does not have a grad_fn`, far from the cause. `torch.no_grad().__enter__()` without
`__exit__()` does the same (an `inference_mode()` ends at the latest when its object dies). At the
top of a module that others import, the import switches grad off for all of them.

A `set_grad_enabled(True)` at the end is half a repair: an exception jumps over it, and inside a
caller's `no_grad()` it switches grad back on. A script may switch grad off for good at its top;
that is not reported.
"""

from collections.abc import Iterator

from gradlint.rule import Attribute, Finding, Fix, FunctionNode, Leak, Note, Project, rewrites, rule


@rule("GL311", severity="warning", since="0.1.0", measures="leak")
def leaked_grad_mode(project: Project) -> Iterator[Finding]:
    """Find grad modes switched off by a statement and not restored."""
    for function in project.functions():
        if (leak := project.leaks.of(function)) is not None:
            yield _finding(project, leak)


def _finding(project: Project, leak: Leak) -> Finding:
    function = leak.function
    on_import = function.is_module_body
    felt = "imported here" if on_import else "called here, with grad off afterwards"
    return Finding(
        function.place(leak.call.at),
        function.name,
        "importing this module switches grad off for the whole program"
        if on_import
        else "grad stays off when this function has returned",
        notes=(Note(leak.felt_at, felt),) if leak.felt_at is not None else (),
        help="use `with torch.no_grad():` around what needs no gradient",
        fix=None if on_import else _decorate(function, leak),
    )


def _decorate(function: FunctionNode, leak: Leak) -> Fix | None:
    """A decorator puts back what was before; not for a constructor, whose mode is meant to last."""
    facts = function.facts
    if facts.is_async or facts.is_generator or facts.is_lambda or facts.name == "__init__":
        return None
    entered = isinstance(leak.call.function, Attribute) and leak.call.function.name == "__enter__"
    if function.parent is None or entered or "backward" in facts.words:
        return None
    edits = rewrites.decorated(function)
    return Fix("unsafe", "decorate the function with `@torch.no_grad()`", edits) if edits else None
