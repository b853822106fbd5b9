"""A running sum of losses keeps the graph of every iteration.

## Flagged

```python
import torch

def train(model, criterion, optimizer, batches):
    total = 0.0
    for images, labels in batches:
        loss = criterion(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss  # GL102
    return total / len(batches)

# run: mean = train(model, criterion, optimizer, batches)
# shows: mean.requires_grad
```

## Instead

```python
import torch

def train(model, criterion, optimizer, batches):
    total = 0.0
    for images, labels in batches:
        loss = criterion(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item()
    return total / len(batches)

# run: mean = train(model, criterion, optimizer, batches)
# shows: isinstance(mean, float)
```

## Why

The sum is a computed tensor too: it holds on to the graph of every loss that went into it, even if it began as `0.0`.
What that costs depends on `backward()`. Where it never runs on these losses, as in an evaluation, all activations of
all batches stay in memory (a network of five layers and 1 MiB of input: 1.3 MB more with each batch). Where it runs,
it frees the activations, and only the nodes of the graphs stay: some kilobytes per iteration, 13 kB for those five
layers, until the sum is dropped. That does no harm in a short run and adds up in a long one.

`loss.item()` gives a Python number and waits for the GPU. `loss.detach()` gives a tensor without a graph, and does
not wait.
"""

from collections.abc import Iterator

from gradlint.rule import Edit, Finding, Fix, FunctionNode, Kept, Note, Project, rule


@rule("GL102", severity="warning", since="0.2.0", measures="growth")
def graph_kept_by_accumulation(project: Project) -> Iterator[Finding]:
    """Find sums, the program's own and those of its meters, that losses with a graph are added to."""
    for function in project.functions():
        if function.is_test:
            continue  # its rounds are few, and compared
        for kept in project.growths.kept(function):
            if kept.growth.how == "sum" and not _is_of_buffer(project, function, kept):
                yield _finding(function, kept)


def _is_of_buffer(project: Project, function: FunctionNode, kept: Kept) -> bool:
    """Whether a method of a module that is called here updates a buffer, which is told of there."""
    if kept.inside is function:
        return False
    return any(update.path == kept.growth.path for update in project.buffers.updates(kept.inside))


def _finding(function: FunctionNode, kept: Kept) -> Finding:
    what = "the nodes of every iteration's graph" if kept.walked else "the activations of every iteration"
    own = kept.inside is function
    alone = kept.growth.alone if own else None
    added = f" of `{alone[0]}`" if alone is not None else ""
    notes = [] if own else [Note(kept.inside.place(kept.growth.at), f"`{kept.growth.path}` adds it up here")]
    if kept.made_at is not None:
        notes.append(Note(function.place(kept.made_at), "this forward records the graph"))
    return Finding(
        function.place(kept.at),
        function.name,
        f"`{kept.growth.path}` keeps {what}: the sum has the graph{added}, and nothing trains on it",
        tuple(notes),
        help="add `.item()`, or `.detach()` where waiting for the GPU costs too much",
        fix=_detached(function, kept) if own else None,
    )


def _detached(function: FunctionNode, kept: Kept) -> Fix | None:
    if kept.growth.alone is None or kept.in_part:
        return None
    name, at = kept.growth.alone
    return Fix("unsafe", f"add `{name}.detach()`", (Edit(function.place(at), "after", ".detach()"),))
