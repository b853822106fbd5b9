"""A tensor made under `inference_mode()` is trained with, or changed, outside of it.

## Flagged

```python
import torch
from torch.nn import functional as F

def distill(student, teacher, optimizer, images):
    with torch.inference_mode():
        wanted = teacher(images)
    loss = F.mse_loss(student(images), wanted)  # GL316
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

# run: distill(student, teacher, optimizer, images)
# raises: RuntimeError: Inference tensors cannot be saved for backward.
```

## Instead

```python
import torch
from torch.nn import functional as F

def distill(student, teacher, optimizer, images):
    with torch.no_grad():
        wanted = teacher(images)
    loss = F.mse_loss(student(images), wanted)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

# run: distill(student, teacher, optimizer, images)
```

## Fixed

```python
import torch
from torch.nn import functional as F

def distill(student, teacher, optimizer, images):
    with torch.no_grad():
        wanted = teacher(images)
    loss = F.mse_loss(student(images), wanted)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
```

## Why

An inference tensor has no version counter, which autograd needs for whatever it saves: `RuntimeError: Inference
tensors cannot be saved for backward. Please do not use Tensors created in inference mode in computation tracked
by autograd.` In place it raises `Inplace update to inference tensor outside InferenceMode is not allowed`, and
`requires_grad_()` and `nn.Parameter` raise `Setting requires_grad=True on inference tensor outside
InferenceMode is not allowed`. `.detach()` does not help, `.clone()` outside does. An operation that need not
save it, such as a sum, passes, so that the error may come much later.

`no_grad()` makes ordinary tensors. A view of an ordinary tensor is ordinary too, even under `inference_mode()`.
"""

from collections.abc import Iterator

from gradlint.rule import Finding, FunctionNode, InferenceMisuse, Note, Project, rewrites, rule, scope

_TEXTS = {
    "changed": "changing `{}` raises: it is an inference tensor, and this is outside of `inference_mode()`",
    "flagged": "`{}` cannot require grad: it is an inference tensor, and this raises",
    "parameter": "`Parameter(...)` raises: it is given an inference tensor",
    "saved": "`{}(...)` raises when it is trained: it is given an inference tensor, which cannot be saved for backward",
    "operand": "`{}` cannot be saved for backward: it is an inference tensor, and this raises",
}


@rule("GL316", severity="error", since="0.2.0")
def inference_tensor_in_autograd(project: Project) -> Iterator[Finding]:
    """Find inference tensors that are changed, made leaves or trained with outside of the mode."""
    for function in project.functions():
        found = {misuse.at: misuse for misuse in project.inference_tensors.misuses(function)}
        if found:
            silent = scope.expected_to_fail(function) | scope.tried(function)
            yield from (_finding(function, misuse) for at, misuse in found.items() if at not in silent)


def _finding(function: FunctionNode, misuse: InferenceMisuse) -> Finding:
    return Finding(
        function.place(misuse.at),
        function.name,
        _TEXTS[misuse.how].format(misuse.name or "it"),
        (Note(function.place(misuse.made_at), "it is made here, under `inference_mode()`"),),
        help="make it under `torch.no_grad()`, or `.clone()` it outside",
        severity="warning" if misuse.how in ("saved", "operand") else None,
        fix=rewrites.without_inference_mode(function, misuse.made_at),
    )


CASES = r"""
```python setup
import torch
from torch import nn

student, teacher = nn.Linear(2, 2), nn.Linear(2, 2)
optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
images = torch.ones(3, 2)
```

## Flagged

### changed, made a leaf, made a parameter
```python
import torch
from torch import nn

def change():
    with torch.inference_mode():
        z = torch.ones(3)
    z.add_(1)  # GL316

def leaf():
    with torch.inference_mode():
        z = torch.ones(3) * 2
    z.requires_grad_()  # GL316

def parameter():
    with torch.inference_mode():
        z = torch.ones(3)
    return nn.Parameter(z)  # GL316

# run: change()
# run: leaf()
# run: parameter()
# raises: RuntimeError: Inplace update to inference, or RuntimeError: Setting requires_grad=True on inference
```

### features for a head
```python
import torch
from torch.nn import functional as F

def train_head(backbone, classifier, optimizer, images, labels):
    with torch.inference_mode():
        features = backbone(images)
    loss = F.mse_loss(classifier(features), labels)  # GL316
    loss.backward()
    optimizer.step()

# run: train_head(teacher, student, optimizer, images, images)
# raises: RuntimeError: Inference tensors cannot be saved for backward.
```

### made by a function of another file
```python
# file: teachers.py
import torch

@torch.inference_mode()
def targets(teacher, images):
    return teacher(images) * 2

# file: main.py
from torch.nn import functional as F
from teachers import targets

def distill(student, teacher, optimizer, images):
    wanted = targets(teacher, images)
    loss = F.mse_loss(student(images), wanted)  # GL316
    loss.backward()
    optimizer.step()

# run: distill(student, teacher, optimizer, images)
# raises: RuntimeError: Inference tensors cannot be saved for backward.
```

### added to, and kept by an object
```python
import torch

def shift(encoder, images):
    with torch.inference_mode():
        z = encoder(images) * 2
    z += 1  # GL316
    return z

class Trainer:
    def __init__(self, encoder, head, optimizer):
        self.encoder, self.head, self.optimizer = encoder, head, optimizer
        self.features = None

    def prepare(self, images):
        with torch.inference_mode():
            self.features = self.encoder(images)

    def step(self):
        loss = self.head(self.features).square().mean()  # GL316
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

# run: shift(teacher, images)
# run: trainer = Trainer(teacher, student, optimizer); trainer.prepare(images); trainer.step()
# raises: RuntimeError: In
```

### multiplied with what is trained
```python
import torch

@torch.inference_mode()
def advantages(rewards):
    return (rewards - rewards.mean()) / (rewards.std() + 1e-4)

def reinforce(policy, optimizer, states, rewards):
    advantage = advantages(rewards)
    log_probs = policy(states).log_softmax(-1)[:, 0]
    loss = -(log_probs * advantage).mean()  # GL316
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

def weighted(policy, critic, optimizer, states, returns):
    with torch.inference_mode():
        advantage = returns - critic(states).sum(-1)
    loss = -(advantage * policy(states)[:, 0]).mean()  # GL316
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

# run: reinforce(student, optimizer, images, torch.tensor([1.0, 2.0, 3.0]))
# run: weighted(student, teacher, optimizer, images, torch.ones(3))
# raises: RuntimeError: Inference tensors cannot be saved for backward.
```

## Silent

### cloned outside, or made under no_grad
```python
import torch
from torch.nn import functional as F

def distill(student, teacher, optimizer, images):
    with torch.inference_mode():
        wanted = teacher(images)
    with torch.no_grad():
        other = teacher(images)
    loss = F.mse_loss(student(images), wanted.clone()) + F.mse_loss(student(images), other)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

# run: distill(student, teacher, optimizer, images)
```

### multiplied with numbers, clones, what has no graph, or only added
```python
import torch

@torch.inference_mode()
def advantages(rewards):
    return (rewards - rewards.mean()) / (rewards.std() + 1e-4)

@torch.inference_mode()
def scale(rewards):
    return rewards.mean().item() / 2

def reinforce(policy, optimizer, states, rewards):
    advantage, weight = advantages(rewards).clone(), scale(rewards)
    old = advantages(rewards)
    log_probs = policy(states).log_softmax(-1)[:, 0]
    print((log_probs.detach() * old).mean(), (rewards * old).mean())
    with torch.no_grad():
        print((log_probs * old).mean())
    loss = -(log_probs * advantage * weight).mean() + (log_probs - old).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

def scaled(policy, optimizer, states, rewards):
    with torch.inference_mode():
        weight = rewards.mean().tolist()
    loss = -(policy(states)[:, 0] * weight).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

def cloned(policy, optimizer, states, rewards):
    advantage = advantages(rewards)
    advantage = advantage.clone()
    loss = -(policy(states)[:, 0] * advantage).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

# run: reinforce(student, optimizer, images, torch.tensor([1.0, 2.0, 3.0]))
# run: cloned(student, optimizer, images, torch.tensor([1.0, 2.0, 3.0]))
# run: scaled(student, optimizer, images, torch.tensor([1.0, 2.0, 3.0]))
```

### only looked at
```python
import torch

def train_step(student, teacher, optimizer, images):
    with torch.inference_mode():
        wanted = teacher(images)
        wanted.mul_(2)
    print(wanted.mean().item(), wanted.numpy())
    student(images).sum().backward()
    optimizer.step()

# run: train_step(student, teacher, optimizer, images)
```

### a view of an ordinary tensor
```python
import torch

x = torch.ones(4)
with torch.inference_mode():
    flat = x.view(2, 2)
flat.add_(1)
```

### switched off
```python
import torch

with torch.inference_mode(False):
    z = torch.ones(3)
z.add_(1)
z.requires_grad_()
```

### kept under no_grad, or cloned
```python
import torch

class Trainer:
    def __init__(self, encoder, head):
        self.encoder, self.head = encoder, head
        self.features = None
        self.more = None

    def prepare(self, images):
        with torch.no_grad():
            self.features = self.encoder(images)
        with torch.inference_mode():
            more = self.encoder(images)
        self.more = more.clone()

    def step(self):
        loss = self.head(self.features).square().mean() + self.head(self.more).mean()
        loss.backward()

# run: trainer = Trainer(teacher, student); trainer.prepare(images); trainer.step()
```

### what may be arrays
```python
import numpy as np
import torch

def predict(rows):
    return np.asarray(rows)

def scores(predict, rows):
    with torch.inference_mode():
        twice = predict(rows) * 2
        means = predict(rows).mean(0)
    twice += 1
    means *= 2
    return twice, means

# run: scores(predict, [[1.0, 2.0]])
```
"""
