"""A list of losses or outputs keeps the graph of every iteration.

## Flagged

```python
import torch

def train(model, criterion, optimizer, batches):
    losses = []
    for images, labels in batches:
        loss = criterion(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss)  # GL103
    return losses

# run: losses = train(model, criterion, optimizer, batches)
# shows: all(loss.grad_fn is not None for loss in losses)
```

## Instead

```python
import torch

def train(model, criterion, optimizer, batches):
    losses = []
    for images, labels in batches:
        loss = criterion(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses

# run: losses = train(model, criterion, optimizer, batches)
# shows: all(isinstance(loss, float) for loss in losses)
```

## Why

A tensor in a list holds on to its graph as long as the list lives. Where `backward()` never runs on it, that is every
activation the forward saved, batch after batch. Where it runs, the activations are freed and the nodes of the graph
stay: kilobytes per iteration; an output of `softmax`, `sigmoid` or `exp` keeps a copy of itself besides.
`.cpu()` and `.clone()` change nothing, their result is part of the graph too; that of `.detach()`, `.item()` and
`.argmax()` is not.

A list that is trained on, as in `torch.stack(log_probs).sum().backward()`, needs its graphs.
"""

from collections.abc import Iterator

from gradlint.rule import Edit, Finding, Fix, FunctionNode, Kept, Note, Project, rule


@rule("GL103", severity="warning", since="0.2.0", measures="growth")
def graph_kept_by_container(project: Project) -> Iterator[Finding]:
    """Find containers that live longer than an iteration and are given tensors with a graph."""
    for function in project.functions():
        if function.is_test:
            continue  # its rounds are few, and compared
        for kept in project.growths.kept(function):
            if kept.growth.how == "container":
                yield _finding(function, kept)


def _finding(function: FunctionNode, kept: Kept) -> Finding:
    what = "the nodes of every iteration's graph" if kept.walked else "the activations of every iteration"
    own = kept.inside is function
    notes = [] if own else [Note(kept.inside.place(kept.growth.at), f"it is put into `{kept.growth.path}` here")]
    if kept.made_at is not None:
        notes.append(Note(function.place(kept.made_at), "this forward records the graph"))
    alone = kept.growth.alone if own else None
    added = f"`{alone[0]}`" if alone is not None else "what is put into it"
    why = "whoever draws it meets weights that have changed" if kept.replayed else "nothing trains on the list"
    return Finding(
        function.place(kept.at),
        function.name,
        f"`{kept.growth.path}` keeps {what}: {added} has a graph, and {why}",
        tuple(notes),
        help="put in `.item()` of a number, `.detach()` of a tensor",
        fix=_detached(function, kept) if own else None,
    )


def _detached(function: FunctionNode, kept: Kept) -> Fix | None:
    if kept.growth.alone is None or kept.in_part:
        return None
    name, at = kept.growth.alone
    return Fix("unsafe", f"put in `{name}.detach()`", (Edit(function.place(at), "after", ".detach()"),))
