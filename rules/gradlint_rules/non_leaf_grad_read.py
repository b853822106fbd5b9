"""`.grad` of a computed tensor is read: it is `None`, whatever `backward()` does.

## Flagged

```python
import torch

x = torch.tensor([1.0, 2.0], requires_grad=True)
y = x * x
y.sum().backward()
print(y.grad)  # GL201
# warns: UserWarning: The .grad attribute of a Tensor that is not a leaf Tensor is being accessed.
# shows: x.grad.tolist() == [2.0, 4.0]
```

## Instead

```python
import torch

x = torch.tensor([1.0, 2.0], requires_grad=True)
y = x * x
y.retain_grad()
y.sum().backward()
print(y.grad)
# shows: y.grad.tolist() == [1.0, 1.0]
```

## Fixed

```python
import torch

x = torch.tensor([1.0, 2.0], requires_grad=True)
y = x * x
y.retain_grad()
y.sum().backward()
print(y.grad)
```

## Why

`backward()` stores gradients in leaves only: tensors made by you (with `requires_grad=True`, or a
parameter), not by an operation. The gradient of a computed tensor is used on the way and dropped.
Its `.grad` is `None`, and each access warns: `UserWarning: The .grad attribute of a Tensor that is
not a leaf Tensor is being accessed. Its .grad attribute won't be populated during
autograd.backward().` `hasattr(y, "grad")` warns as well. An indexed, reshaped, transposed, cloned
or converted leaf (`x[0]`, `w.T`, `x.double()`) is a computed tensor too.

If the leaf was meant, read the leaf. If this very gradient is wanted, call `y.retain_grad()` before
`backward()`; afterwards it is too late, `y.grad` stays `None`, and the warning is gone.
"""

from collections.abc import Iterator

from gradlint.rule import (
    COMPUTED,
    LEAF,
    AttributeEvent,
    Edit,
    Finding,
    Fix,
    FunctionNode,
    Note,
    Project,
    rounds,
    rule,
    scope,
)


@rule("GL201", severity="warning", since="0.1.0")
def non_leaf_grad_read(project: Project) -> Iterator[Finding]:
    """Find reads of ``.grad`` on tensors that an operation made."""
    for function in project.functions():
        found = [event for event in project.gradients.reads(function) if _is_lost(event)]
        if found:
            silent = scope.expected_to_fail(function)
            yield from (_finding(project, function, event) for event in found if event.at not in silent)
        yield from _kept_by_forward(project, function)
        yield from _made_by_handed_layer(project, function)


def _is_lost(event: AttributeEvent) -> bool:
    owner = event.owner
    computed = owner.is_tensor and owner.tensor & COMPUTED and not owner.tensor & LEAF
    return bool(computed) and event.unretained and not event.guarded


def _kept_by_forward(project: Project, function: FunctionNode) -> Iterator[Finding]:
    """``net.hidden.grad``, of what a ``forward`` has computed."""
    for event in project.gradients.reads(function):
        name = (event.path or "").removesuffix(".grad")
        either = event.owner.tensor & LEAF and event.owner.tensor & COMPUTED  # for all that this function shows
        if "." not in name or event.guarded or event.tested or not either:
            continue
        made = project.gradients.computed_by_forward(function, name)
        if made is not None and event.at not in scope.expected_to_fail(function):
            why = "`forward` computes it, and `backward()` fills the `.grad` of leaves only"
            yield Finding(
                function.place(event.at),
                function.name,
                f"`{name}.grad` is always None: {why}",
                (Note(made, "it is computed here"),),
                help=f"have `forward` call `self.{name.rpartition('.')[2]}.retain_grad()` once it is computed",
            )


def _made_by_handed_layer(project: Project, function: FunctionNode) -> Iterator[Finding]:
    """``e = emb(ids)``, ``e.grad``, where all callers hand over a layer of torch's."""
    for event in project.gradients.reads(function):
        name = (event.path or "").removesuffix(".grad")
        either = event.owner.tensor & LEAF and event.owner.tensor & COMPUTED
        if not name.isidentifier() or not either or event.guarded or event.tested:
            continue
        made = project.gradients.made_by_handed_layer(function, name)
        if made is not None and event.at not in scope.expected_to_fail(function):
            yield Finding(
                function.place(event.at),
                function.name,
                f"`{name}.grad` is always None: it was computed, and `backward()` fills the `.grad` of leaves only",
                (Note(made, "it is computed here"),),
                help=f"call `{name}.retain_grad()` before `backward()`, or read the leaf it was computed from",
            )


def _finding(project: Project, function: FunctionNode, event: AttributeEvent) -> Finding:
    name = (event.path or "").removesuffix(".grad")
    what = f"`{name}.grad`" if name else "`.grad` of a computed tensor"
    made = event.owner.made_at
    when = "None from the second round on" if rounds.is_carried_over(function, made, event.at) else "always None"
    return Finding(
        function.place(event.at),
        function.name,
        f"{what} is {when}: it was computed, and `backward()` fills the `.grad` of leaves only",
        (Note(function.place(made), "it is computed here"),) if made is not None else (),
        help=f"call `{name or 'y'}.retain_grad()` before `backward()`, or read the leaf it was computed from",
        fix=_retained(project, function, event, name),
    )


def _retained(project: Project, function: FunctionNode, event: AttributeEvent, name: str) -> Fix | None:
    """The offer to retain it, where one ``backward()`` stands between the making and the read."""
    made = event.owner.made_at
    calls = project.flow(function).calls.values()
    between = [call for call in calls if call.method == "backward" and made is not None and made < call.at < event.at]
    if len(between) != 1 or not name.isidentifier():
        return None
    edit = Edit(function.place(between[0].at), "line-above", f"{name}.retain_grad()")
    return Fix("unsafe", f"call `{name}.retain_grad()` before `backward()`", (edit,))
