"""Gradients are clipped before `backward()`, or after the step: nothing is clipped.

## Flagged

```python
import torch

def train_step(model, criterion, optimizer, images, labels):
    optimizer.zero_grad()
    loss = criterion(model(images), labels)
    torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)  # GL407
    loss.backward()
    optimizer.step()

# run: train_step(model, criterion, optimizer, images, labels)
# shows: model.weight.grad.norm() > 1
```

## Instead

```python
import torch

def train_step(model, criterion, optimizer, images, labels):
    optimizer.zero_grad()
    loss = criterion(model(images), labels)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
    optimizer.step()

# run: train_step(model, criterion, optimizer, images, labels)
# shows: model.weight.grad.norm() < 0.2
```

## Fixed

```python
import torch

def train_step(model, criterion, optimizer, images, labels):
    optimizer.zero_grad()
    loss = criterion(model(images), labels)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
    optimizer.step()
```

## Why

Clipping changes the `.grad` that are there. Before `backward()` they are `None`: `clip_grad_norm_` returns
`tensor(0.)` and clips nothing, `clip_grad_value_` raises a `RuntimeError` about an empty `nested_tensorlist`.
After the step the update was made with the full gradients. Neither says a word of it, and the explosion that
the clipping was to prevent comes as a surprise.
"""

from collections.abc import Iterator

from gradlint.rule import Act, Edit, Finding, Fix, FunctionNode, Moment, Note, Project, rewrites, rule, scope


@rule("GL407", severity="error", since="0.2.0")
def misplaced_clip(project: Project) -> Iterator[Finding]:
    """Find clips that can only meet gradients that are None, or with which the step was made already."""
    for function in project.functions():
        if not project.order.steps.acts(function):
            continue
        silent = scope.expected_to_fail(function)
        for moment in project.order.moments(function):
            act = moment.act
            own = act.inside is None or act.path is not None
            if act.kind == "clip" and own and not act.used and act.at not in silent:
                if moment.grads == {"none"} and moment.after is not None and not moment.walks:
                    yield _too_early(function, moment, moment.after)
                elif moment.grads == {"stale"} and not _is_callees(moment):
                    yield _too_late(function, moment)
        yield from (_too_early_for(function, clip, backward) for clip, backward in project.order.early_clips(function))


def _is_callees(moment: Moment) -> bool:
    """Whether a callee makes the step and clips: it is found there."""
    return moment.act.inside is not None and moment.stepped == moment.act.at


def _too_early(function: FunctionNode, moment: Moment, backward: int) -> Finding:
    return Finding(
        function.place(moment.act.at),
        function.name,
        "nothing is clipped: no `backward()` has run since the gradients were zeroed, all of them are None",
        (Note(function.place(backward), "`backward()` comes after it"),),
        help="clip between `backward()` and the step",
        fix=_exchanged(rewrites.exchanged(function, moment.act.at, backward)),
    )


def _too_early_for(function: FunctionNode, clip: Act, backward: Act) -> Finding:
    return Finding(
        function.place(clip.at),
        function.name,
        "what `backward()` computes is not clipped: this comes before it, and meets gradients of before, or None",
        (Note(function.place(backward.at), "`backward()` comes after it"),),
        help="clip between `backward()` and the step",
        severity="warning",
    )


def _too_late(function: FunctionNode, moment: Moment) -> Finding:
    return Finding(
        function.place(moment.act.at),
        function.name,
        f"the clipping comes too late: `{moment.name}` has made its step with the full gradients",
        (Note(function.place(moment.stepped), "the step"),) if moment.stepped is not None else (),
        help="clip between `backward()` and the step",
        fix=_exchanged(rewrites.exchanged(function, moment.stepped, moment.act.at)) if moment.stepped else None,
    )


def _exchanged(edits: tuple[Edit, ...]) -> Fix | None:
    return Fix("unsafe", "clip between `backward()` and the step", edits) if edits else None


CASES = r"""
```python setup
import torch
from torch import nn

model = nn.Linear(2, 1, bias=False)
nn.init.ones_(model.weight)
criterion = nn.MSELoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
images, labels = torch.ones(3, 2), torch.zeros(3, 1)
batches = [(images, labels)] * 2
```

## Flagged

### after gradients were set to None one by one, of a module whose optimizer is handed in
```python
import torch

def train_step(model, criterion, optimizer, images, labels):
    loss = criterion(model(images), labels)
    for parameter in model.parameters():
        parameter.grad = None
    torch.nn.utils.clip_grad_norm_(model.parameters(), 0.001)  # GL407
    loss.backward()
    optimizer.step()

# run: train_step(model, criterion, optimizer, images, labels)
# shows: (1 - model.weight).abs().min() > 0.1
```

### after the step
```python
from torch.nn.utils import clip_grad_norm_

def train(model, criterion, optimizer, batches):
    for images, labels in batches:
        optimizer.zero_grad()
        criterion(model(images), labels).backward()
        optimizer.step()
        clip_grad_norm_(model.parameters(), 0.001)  # GL407

# run: train(model, criterion, optimizer, batches[:1])
# shows: (1 - model.weight).abs().min() > 0.1
```

### by a function that clips
```python
import torch

def clip(model):
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)

def train_step(model, criterion, optimizer, images, labels):
    optimizer.zero_grad()
    loss = criterion(model(images), labels)
    clip(model)  # GL407
    loss.backward()
    optimizer.step()

# run: train_step(model, criterion, optimizer, images, labels)
# shows: True
```

### by an object whose caller makes the step
```python
import torch

class Weighting:
    def __init__(self, limit):
        self.limit = limit

    def backward(self, losses, shared=None):
        loss = losses.mean()
        if shared is not None:
            torch.nn.utils.clip_grad_norm_(shared, self.limit)  # GL407
        loss.backward()
        return loss

# run: parameter = torch.ones(2, requires_grad=True)
# run: Weighting(0.001).backward(1000 * parameter, [parameter])
# shows: parameter.grad.norm() > 1
```

### once, whoever calls it in a loop, and twice in a round
```python
import torch
from torch import nn

def late(model, optimizer, batches):
    for images in batches:
        optimizer.zero_grad()
        model(images).sum().backward()
        optimizer.step()
        nn.utils.clip_grad_norm_(model.parameters(), 0.001)  # GL407

def early(model, optimizer, images):
    loss = model(images).sum()
    optimizer.zero_grad()
    nn.utils.clip_grad_norm_(model.parameters(), 0.001)  # GL407
    loss.backward()
    optimizer.step()

def fit(batches):
    model = nn.Linear(2, 1, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        late(model, optimizer, batches)
        early(model, optimizer, batches[0])
        early(model, optimizer, batches[0])
    return model

def main(batches):
    for _ in range(2):
        model = fit(batches)
    return model

# run: model = main([torch.ones(3, 2)] * 2)
# shows: model.weight.grad.norm() > 1
```

### of two optimizers, whichever it is about, and with its norm thrown away
```python
import torch

def train(encoder, decoder, encoder_optimizer, decoder_optimizer, batches):
    for images, _ in batches:
        encoder_optimizer.zero_grad()
        decoder_optimizer.zero_grad()
        loss = decoder(encoder(images)).mean()
        _ = torch.nn.utils.clip_grad_norm_(encoder.parameters(), 0.001)  # GL407
        _ = torch.nn.utils.clip_grad_norm_(decoder.parameters(), 0.001)  # GL407
        loss.backward()
        encoder_optimizer.step()
        decoder_optimizer.step()

# run: encoder, decoder = nn.Linear(2, 2), nn.Linear(2, 1)
# run: both = [torch.optim.SGD(net.parameters(), lr=0.1) for net in (encoder, decoder)]
# run: train(encoder, decoder, *both, batches[:1])
# shows: decoder.bias.grad.abs().item() > 0.5
```

### after the step of a scaler
```python
import torch
from torch.amp import GradScaler

def train(model, criterion, optimizer, batches):
    scaler = GradScaler("cpu")
    for images, labels in batches:
        optimizer.zero_grad()
        scaler.scale(criterion(model(images), labels)).backward()
        scaler.unscale_(optimizer)
        scaler.step(optimizer)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.001)  # GL407
        scaler.update()

# run: train(model, criterion, optimizer, batches[:1])
# shows: (1 - model.weight).abs().min() > 0.1
```

## Silent

### between backward and the step, gradients set to None one by one
```python
import torch

def train(model, criterion, optimizer, batches):
    for images, labels in batches:
        for parameter in model.parameters():
            parameter.grad = None
        criterion(model(images), labels).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

# run: train(model, criterion, optimizer, batches)
```

### between backward and step, unscaled first
```python
import torch

def train(model, criterion, optimizer, batches):
    scaler = torch.amp.GradScaler(enabled=False)
    for images, labels in batches:
        optimizer.zero_grad()
        scaler.scale(criterion(model(images), labels)).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        scaler.step(optimizer)
        scaler.update()

# run: train(model, criterion, optimizer, batches)
```

### in every few rounds
```python
import torch

def train(model, criterion, optimizer, batches, every=2):
    for number, (images, labels) in enumerate(batches):
        criterion(model(images), labels).backward()
        if (number + 1) % every == 0:
            torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
            optimizer.step()
            optimizer.zero_grad()

# run: train(model, criterion, optimizer, batches)
```

### the norm is wanted
```python
import torch

def train_step(model, criterion, optimizer, images, labels):
    optimizer.zero_grad()
    criterion(model(images), labels).backward()
    optimizer.step()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1e9)
    print(norm)

# run: train_step(model, criterion, optimizer, images, labels)
```

### of another model
```python
import torch

def train_step(model, other, criterion, images, labels):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    optimizer_two = torch.optim.SGD(other.parameters(), lr=0.1)
    optimizer.zero_grad()
    criterion(model(other(images)), labels).backward()
    optimizer.step()
    torch.nn.utils.clip_grad_norm_(other.parameters(), 0.1)
    optimizer_two.step()

# run: train_step(model, torch.nn.Linear(2, 2), criterion, images, labels)
```

### after the backward of another loss, or on the way to the next step
```python
import torch

def backward(first, second, parameters):
    first.backward(retain_graph=True)
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    second.backward()

def accumulate(model, optimizer, batches):
    for number, images in enumerate(batches, 1):
        if number % 4 == 0:
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
        model(images).sum().backward()
```

### of two optimizers, one of which has gradients
```python
import torch

def play(generator, discriminator, generator_optimizer, discriminator_optimizer, noise, real):
    generator_optimizer.zero_grad()
    discriminator_optimizer.zero_grad()
    with torch.no_grad():
        fake = generator(noise)
    (discriminator(fake) - discriminator(real)).mean().backward()
    torch.nn.utils.clip_grad_norm_(discriminator.parameters(), 1.0)
    discriminator_optimizer.step()
    generator_optimizer.zero_grad()
    loss = -discriminator(generator(noise)).mean()
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(generator.parameters(), 1.0)
    generator_optimizer.step()
    return norm
```
"""
