"""A forward in inference code records a graph that nobody uses.

## Flagged

```python
def accuracy(model, loader):
    model.eval()
    hits, seen = 0, 0
    for images, labels in loader:
        scores = model(images)  # GL101
        hits += (scores.argmax(1) == labels).sum().item()
        seen += len(labels)
    return hits / seen

# run: accuracy(model, loader)
# keeps: > 0 bytes
```

## Instead

```python
import torch

@torch.no_grad()
def accuracy(model, loader):
    model.eval()
    hits, seen = 0, 0
    for images, labels in loader:
        scores = model(images)
        hits += (scores.argmax(1) == labels).sum().item()
        seen += len(labels)
    return hits / seen

# run: accuracy(model, loader)
```

or `with torch.no_grad():` around the loop.

## Fixed

```python
import torch

@torch.no_grad()
def accuracy(model, loader):
    model.eval()
    hits, seen = 0, 0
    for images, labels in loader:
        scores = model(images)
        hits += (scores.argmax(1) == labels).sum().item()
        seen += len(labels)
    return hits / seen
```

## Why

`model.eval()` only changes how layers such as dropout and batch norm compute. Recording goes on:
each layer keeps the tensors that `backward()` would need, for as long as its output lives. No value
is wrong, and nothing leaks, because all of it is freed with the output. What is lost is memory, at
the worst moment: for the loss of a five-layer perceptron on 1 MiB of input, 5,292,036 bytes are
kept, and none under `no_grad()`. In a loop it is twice as much, because the new graph is built
while the old output is still bound to its name.

A forward is inference when the code says so: `.eval()` was called on the model, the function, file
or loader is named so, or its result only reaches places where no gradient can flow (`.item()`,
`.argmax()`, `.tolist()`, a metric, a shape). The notes of a finding say which. A forward in the
middle of a training step whose result is only counted or logged is the same waste; the message then
says "in training code". Nothing is reported when a gradient may be wanted, as in attacks, saliency
maps, forces or test-time training, when every caller holds a guard, or when all parameters are
frozen and no graph is built.

`torch.inference_mode()` also switches recording off, but the tensors made under it can never take
part in training: `RuntimeError: Inference tensors cannot be saved for backward.` So `no_grad()` is
the one to begin with.
"""

from collections.abc import Iterator

from gradlint.rule import Finding, Fix, Forward, FunctionNode, Note, Project, rewrites, rule

_MOST_OTHERS = 5
# Words of code that takes gradients, or runs something that may.
_GRADIENTS = frozenset(
    "backward manual_backward autograd grad zero_grad requires_grad_ enable_grad fit run learn perturb attack attacker "
    "adversary generate_adversarial".split()
)


@rule("GL101", severity="warning", since="0.1.0", measures="waste")
def grad_enabled_inference(project: Project) -> Iterator[Finding]:
    """Find forwards of inference code that can run with grad on."""
    inference = project.inference
    for function in project.functions():
        # One cause, one finding: a call of a helper that is itself reported adds nothing.
        own = [f for f in inference.wasteful_forwards(function) if not any(map(inference.is_reported, f.event.targets))]
        if own and not inference.only_hands_on(function):
            yield _finding(project, own[0], own[1:])


def _finding(project: Project, first: Forward, others: list[Forward]) -> Finding:
    function = first.function
    called = f"`{first.event.name}(...)`" if not first.event.name.startswith("?") else "this call"
    return Finding(
        function.place(first.event.at),
        function.name,
        f"{called} records a graph in {_code(first)} code, and nothing will use it",
        tuple(_notes(first, others)),
        help=_help(first),
        fix=_decorate(project, function),
    )


def _code(first: Forward) -> str:
    return "training" if first.in_training else "inference"


def _help(first: Forward) -> str:
    if first.chosen and first.caller is not None:
        return f"put the call in `{first.caller.caller.name}` under `with torch.no_grad():`"
    return "put it under `with torch.no_grad():`"


def _notes(first: Forward, others: list[Forward]) -> Iterator[Note]:
    """The evidence, the forwards beside it, and who gets there with grad on; each place once."""
    caller = first.caller
    for cue in first.cues:
        if cue.place is not None and cue.message and (caller is None or cue.place != caller.place):
            yield Note(cue.place, cue.message)
    for other in others[:_MOST_OTHERS]:
        yield Note(first.function.place(other.event.at), "so does this one")
    if caller is not None:
        name = "the module" if caller.caller.is_module_body else f"`{caller.caller.name}`"
        yield Note(caller.place, f"{name} calls it with grad on")


def _decorate(project: Project, function: FunctionNode) -> Fix | None:
    """The decorator, unless somewhere under the function a gradient may be wanted after all."""
    facts = function.facts
    if function.is_module_body or facts.is_async:
        return None
    if any(not _GRADIENTS.isdisjoint(below.facts.words) for below in project.calls.below([function])):
        return None
    edits = rewrites.decorated(function)
    return Fix("unsafe", "decorate the function with `@torch.no_grad()`", edits) if edits else None


CASES = r"""
```python setup
import torch
from torch import nn

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
loader = [(torch.randn(4, 8), torch.randint(3, (4,))) for _ in range(2)]
criterion = nn.CrossEntropyLoss()
torch.save(model.state_dict(), "model.pt")
images, labels = loader[0]
```

## Flagged

### a module that is handed on
```python
import torch
from torch import nn

class Recognizer(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, recordings, batch_size):
        return self.layer(recordings)

def transcribe(asr_model, recordings):
    texts = []
    for found in asr_model(recordings, batch_size=4):  # GL101
        texts.append(found)
    return texts

def evaluate(recordings):
    texts = transcribe(Recognizer(), recordings)
    print([text.argmax().item() for text in texts])

# run: evaluate(torch.ones(3, 2))
# shows: transcribe(Recognizer(), torch.ones(3, 2))[0].requires_grad
```

### a parameter of a class whose method is named
```python
import torch
from torch import nn

class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(2, 2)

    def forward(self, observation):
        return torch.distributions.Categorical(logits=self.net(observation))

    def get_action(self, observation):
        return self(observation).logits  # GL101

def sample_trajectory(env, policy: Policy, steps):
    observation = env.reset()
    for _ in range(steps):
        observation = env.step(policy.get_action(observation))
    return observation.argmax()

class Env:
    def reset(self):
        return torch.zeros(2)

    def step(self, action):
        return action

# run: sample_trajectory(Env(), Policy(), 2)
# keeps: > 0 bytes
```

### an object that walks no graph
```python
import torch

class Sorter:
    def __init__(self, model):
        self.model = model

    def forward(self, images):
        return self.model(images).softmax(dim=1).sort(dim=1, descending=True)

    def close(self):
        self.model = None

def demo(model, images):
    model.eval()
    sorter = Sorter(model)
    probabilities, ids = sorter.forward(images)  # GL101
    sorter.close()
    print(ids[0, 0].item(), probabilities[0, 0].item())

# run: demo(torch.nn.Linear(2, 3), torch.ones(1, 2))
# keeps: > 0 bytes
```

### a script at module level
```python
import torch
from torch import nn

model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
model.load_state_dict(torch.load("model.pt"))
model.eval()

scores = model(torch.randn(1, 8)).softmax(1)  # GL101
print(scores.argmax().item())
# keeps: > 0 bytes
```

### a dict of modules, all in evaluation mode
```python
import torch

class Ensemble:
    def __init__(self, members):
        self.members = dict(members)

    def chances(self, images):
        for each in self.members.values():
            each.eval()
        found = [m(images).softmax(-1) for m in self.members.values()]  # GL101
        return torch.stack(found).mean(0).detach().cpu().numpy()

# run: net = torch.nn.Linear(8, 3); net.register_forward_hook(lambda m, i, o: kept.append(o)); kept = []
# run: Ensemble({"one": net}).chances(torch.ones(2, 8))
# shows: kept[0].requires_grad
```

### put into evaluation mode if it is not in it
```python
from torch import nn

class Embedder(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 3)

    def features(self, images):
        if self.training:
            self.eval()
        out = self.net(images)  # GL101
        return out

# run: import torch; embedder = Embedder(); features = embedder.features(torch.ones(2, 8))
# shows: features.requires_grad and not embedder.training
```

### the validation block inside train()
```python
def train(model, criterion, optimizer, train_loader, val_loader, epochs=1):
    for epoch in range(epochs):
        model.train()
        for images, labels in train_loader:
            optimizer.zero_grad()
            loss = criterion(model(images), labels)
            loss.backward()
            optimizer.step()

        model.eval()
        val_loss = 0.0
        for images, labels in val_loader:
            outputs = model(images)  # GL101
            val_loss += criterion(outputs, labels).item()
        print(epoch, val_loss / len(val_loader))

# run: train(model, criterion, torch.optim.SGD(model.parameters(), lr=0.1), [], loader)
# keeps: > 0 bytes
```

### a validation function without eval()
```python
def validate(net, val_loader, criterion):
    losses = []
    for images, labels in val_loader:
        output = net(images)  # GL101
        losses.append(criterion(output, labels).item())
    return sum(losses) / len(losses)

# run: validate(model, loader, criterion)
# keeps: > 0 bytes
```

### train(False) is eval()
```python
def confusion(model, loader, classes=3):
    model.train(False)
    table = [[0] * classes for _ in range(classes)]
    for images, labels in loader:
        for guess, label in zip(model(images).argmax(1).tolist(), labels.tolist()):  # GL101
            table[label][guess] += 1
    return table

# run: confusion(model, loader)
# keeps: > 0 bytes
```

### the handler of a web service
```python setup
# file: fastapi.py
class FastAPI:
    def post(self, path):
        return lambda handler: handler

    get = post
```
```python
import torch
from fastapi import FastAPI
from torch import nn

app = FastAPI()
model = nn.Linear(8, 3)
model.load_state_dict({"weight": torch.zeros(3, 8), "bias": torch.zeros(3)})
model.eval()

@app.post("/predict")
def predict(pixels: list[float]) -> dict[str, int]:
    scores = model(torch.tensor([pixels]))  # GL101
    return {"label": int(scores.argmax(1))}

@app.get("/scores")
async def scores(pixels: list[float]) -> list[float]:
    return model(torch.tensor([pixels])).softmax(1)[0].tolist()  # GL101

# run: predict([0.0] * 8)
# keeps: > 0 bytes
```

### the predict method of a service
```python
import torch
from torch import nn

class Classifier:
    def __init__(self, path):
        self.model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
        self.model.load_state_dict(torch.load(path))
        self.model.eval()

    def predict(self, pixels):
        scores = self.model(torch.tensor([pixels]))  # GL101
        return scores.argmax(1).item()

# run: Classifier("model.pt").predict([0.0] * 8)
# keeps: > 0 bytes
```

### loaded and put in eval mode in another file
```python
# file: loading.py
import torch
from torch import nn

def load_model(path):
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
    model.load_state_dict(torch.load(path))
    return model.eval()

# file: main.py
import torch
from loading import load_model

def main():
    model = load_model("model.pt")
    for _ in range(2):
        scores = model(torch.randn(4, 8))  # GL101
        print(scores.argmax(1).tolist())

if __name__ == "__main__":
    main()
# keeps: > 0 bytes
```

### a helper that only an unguarded evaluation reaches
```python
# file: metrics.py
def count_hits(model, batch):
    images, labels = batch
    return (model(images).argmax(1) == labels).sum().item()  # GL101

# file: evaluate.py
from metrics import count_hits

def evaluate(model, loader):
    model.eval()
    return sum(count_hits(model, batch) for batch in loader)

# run: evaluate(model, loader)
# keeps: > 0 bytes
```

### a helper with one guarded and one unguarded caller
```python
import torch

def top_class(model, images):
    return model(images).argmax(1).tolist()  # GL101

@torch.no_grad()
def evaluate(model, loader):
    model.eval()
    return [top_class(model, images) for images, _ in loader]

def predict(model, images):
    model.eval()
    return top_class(model, images)

# run: predict(model, images)
# keeps: > 0 bytes
```

### a guard that ends too early
```python
import torch

def evaluate(model, loader):
    model.eval()
    hits = 0
    for images, labels in loader:
        with torch.no_grad():
            images = (images - images.mean()) / images.std()
        hits += (model(images).argmax(1) == labels).sum().item()  # GL101
    return hits

# run: evaluate(model, loader)
# keeps: > 0 bytes
```

### actions of a reinforcement learning rollout
```python
import torch
from torch.distributions import Categorical

def rollout(policy, env, steps):
    observation = env.reset()
    rewards = []
    for _ in range(steps):
        logits = policy(torch.as_tensor(observation))  # GL101
        action = Categorical(logits=logits).sample()
        observation, reward = env.step(action.item())
        rewards.append(reward)
    return sum(rewards)

# run: from types import SimpleNamespace as space
# run: env = space(reset=lambda: [0.0] * 8, step=lambda action: ([float(action)] * 8, 1.0))
# run: rollout(model, env, 3)
# keeps: > 0 bytes
```

### actions drawn from a distribution that the model gives, beside something else
```python
import torch
from torch import nn
from torch.distributions import Categorical

class ActorCritic(nn.Module):
    def __init__(self):
        super().__init__()
        self.actor, self.critic = nn.Linear(8, 3), nn.Linear(8, 1)

    def forward(self, state):
        chances = self.actor(state).softmax(-1)
        return Categorical(chances), self.critic(state)

policy = ActorCritic()

def test_env(env, steps):
    state, total = env.reset(), 0.0
    for _ in range(steps):
        chances, _ = policy(torch.as_tensor(state))  # GL101
        state, reward = env.step(chances.sample().cpu().numpy())
        total += reward
    return total

# run: from types import SimpleNamespace as space
# run: env = space(reset=lambda: [0.0] * 8, step=lambda action: ([float(action)] * 8, 1.0))
# run: test_env(env, 3)
# keeps: > 0 bytes
```

### a function that is called like a test, and is handed what it evaluates
```python
# file: test_patches.py
import torch

def test_single_case(net, image):
    scores = net(image.unsqueeze(0)).softmax(1)  # GL101
    return scores.cpu().data.numpy()

# file: evaluate.py
from test_patches import test_single_case

def evaluate(net, images):
    return [test_single_case(net, image).argmax() for image in images]

# run: evaluate(model, images)
# keeps: > 0 bytes
```

### the greedy action of a value network
```python
import random
import torch

class Agent:
    def __init__(self, q_network, optimizer, epsilon=0.1):
        self.q_network = q_network
        self.optimizer = optimizer
        self.epsilon = epsilon

    def act(self, state):
        if random.random() < self.epsilon:
            return random.randrange(3)
        return self.q_network(torch.as_tensor(state)).argmax().item()  # GL101

    def learn(self, states, actions, targets):
        values = self.q_network(states).gather(1, actions).squeeze(1)
        loss = torch.nn.functional.mse_loss(values, targets)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

# run: Agent(model, None, epsilon=0).act([0.0] * 8)
# keeps: > 0 bytes
```

### a diffusion sampling loop
```python
import torch

def sample(denoiser, steps, shape):
    image = torch.randn(shape)
    for step in reversed(range(steps)):
        noise = denoiser(image)  # GL101
        image = image - noise / (step + 1)
    return (image.clamp(0, 1) * 255).to(torch.uint8)

# run: sample(nn.Linear(8, 8), 3, (2, 8))
# keeps: > 0 bytes
```

### an object that is called to sample, with a scheduler that keeps what it was given
```python
import torch

class NoisePipeline:
    def __init__(self, unet, scheduler):
        self.unet, self.scheduler = unet, scheduler

    def __call__(self, shape, steps):
        image = torch.randn(shape)
        for step in self.scheduler.steps(steps):
            noise = self.unet(image)  # GL101
            image = self.scheduler.step(noise, step, image)
        return image

class Scheduler:
    def steps(self, count):
        return range(count)

    def step(self, noise, step, image):
        self.last = noise
        return image - 0.1 * noise

# run: image = NoisePipeline(torch.nn.Linear(4, 4), Scheduler())((2, 4), 3)
# shows: image.grad_fn is not None
```

### by another name
```python
def test(model, loader):
    f = model
    scores = []
    for images, labels in loader:
        hits = f(images).argmax(1) == labels  # GL101
        scores.append(hits.float().mean().item())
    return scores

# run: import torch; scores = test(torch.nn.Linear(4, 2), [(torch.ones(3, 4), torch.zeros(3))])
# shows: len(scores) == 1
```

### text sampled from a recurrent network
```python
import torch

def complete(lstm, head, embed, tokens, length):
    lstm.eval()
    state = None
    for _ in range(length):
        out, state = lstm(embed(tokens[:, -1:]), state)  # GL101
        weights = head(out[:, -1]).softmax(-1)
        tokens = torch.cat([tokens, torch.multinomial(weights, 1)], 1)
    return tokens.tolist()

# run: lstm, start = nn.LSTM(8, 8, batch_first=True), torch.zeros(1, 1, dtype=torch.long)
# run: complete(lstm, nn.Linear(8, 5), nn.Embedding(5, 8), start, 3)
# keeps: > 0 bytes
```

### features for another tool
```python
import numpy as np

def extract_features(backbone, loader):
    backbone.eval()
    features = []
    for images, _ in loader:
        features.append(backbone(images).detach().cpu().numpy())  # GL101
    return np.concatenate(features)

# run: extract_features(model, loader)
# keeps: > 0 bytes
```

### the bytes that the page speaks of
```python setup
layers = [layer for _ in range(4) for layer in (nn.Linear(256, 256), nn.ReLU())]
perceptron = nn.Sequential(*layers, nn.Linear(256, 10))
pixels, digits = torch.randn(1024, 256), torch.randint(10, (1024,))
```
```python
from torch.nn import functional as F

def evaluate(net, pixels, digits):
    net.eval()
    return F.cross_entropy(net(pixels), digits).item()  # GL101

# run: evaluate(perceptron, pixels, digits)
# keeps: == 5292036 bytes
# leaves: 0 bytes
```

### twice as many in a loop
```python setup
layers = [layer for _ in range(4) for layer in (nn.Linear(256, 256), nn.ReLU())]
perceptron = nn.Sequential(*layers, nn.Linear(256, 10))
batches = [(torch.randn(1024, 256), torch.randint(10, (1024,))) for _ in range(3)]
```
```python
from torch.nn import functional as F

def evaluate(net, batches):
    net.eval()
    total = 0.0
    for pixels, digits in batches:
        loss = F.cross_entropy(net(pixels), digits)  # GL101
        total += loss.item()
    return total

# run: evaluate(perceptron, batches)
# keeps: == 10584072 bytes
# leaves: 0 bytes
```

### a generator of predictions
```python
def predictions(model, loader):
    model.eval()
    for images, _ in loader:
        yield from model(images).argmax(1).tolist()  # GL101

# run: list(predictions(model, loader))
# keeps: > 0 bytes
```

### a step of an evaluator whose loop is in another file
```python
# file: runner.py
class Runner:
    def __init__(self, model, loader):
        self.model = model
        self.loader = loader

    def run(self):
        self.model.eval()
        return [self.step(batch) for batch in self.loader]

# file: tester.py
from runner import Runner

class Tester(Runner):
    def step(self, batch):
        return self.model(batch[0]).argmax(1).tolist()  # GL101

# run: Tester(model, loader).run()
# keeps: > 0 bytes
```

### a model of the transformers library
```python setup
# file: transformers.py
from types import SimpleNamespace

import torch

class AutoModelForSequenceClassification(torch.nn.Linear):
    @classmethod
    def from_pretrained(cls, name):
        return cls(8, 2)

    def forward(self, pixels):
        return SimpleNamespace(logits=super().forward(pixels))

class AutoTokenizer:
    @classmethod
    def from_pretrained(cls, name):
        return lambda text, return_tensors: {"pixels": torch.zeros(1, 8)}
```
```python
from transformers import AutoModelForSequenceClassification, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("some/model")
model = AutoModelForSequenceClassification.from_pretrained("some/model")

def sentiment(text):
    inputs = tokenizer(text, return_tensors="pt")
    outputs = model(**inputs)  # GL101
    return outputs.logits.argmax(-1).item()

print(sentiment("fine"))
# keeps: > 0 bytes
```

### forward called by its name
```python
def predict(model, images):
    model.eval()
    return model.forward(images).argmax(1).tolist()  # GL101

# run: predict(model, images)
# keeps: > 0 bytes
```

### handed on by name
```python
def label(model, images):
    return model(images).argmax(1).tolist()  # GL101

def predict_all(model, loader, step=label):
    model.eval()
    return [step(model, images) for images, _ in loader]

# run: predict_all(model, loader)
# keeps: > 0 bytes
```

### a probe for the size of a layer
```python
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, channels, size):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(channels, 4, 3), nn.ReLU(), nn.Flatten())
        width = self.features(torch.zeros(1, channels, size, size)).shape[1]  # GL101
        self.head = nn.Linear(width, 2)

    def forward(self, x):
        return self.head(self.features(x))

# run: Net(1, 8)
# keeps: > 0 bytes
```

### the evaluation, not the loss method that training reaches through a dictionary
```python
class Prototypes(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(8, 2)

    def loss(self, sample):
        distances = self.encoder.forward(sample) ** 2
        loss_value = distances.mean()
        return loss_value, {"loss": loss_value.item()}

def evaluate(prototypes, loader):
    prototypes.eval()
    for sample, _ in loader:
        _, output = prototypes.loss(sample)  # GL101
        print(output["loss"])

def train(state):
    loss, _ = state["model"].loss(state["sample"])
    loss.backward()

# run: evaluate(Prototypes(), loader)
# keeps: > 0 bytes
```

### a class method of the base makes the model
```python
class Pretrained(nn.Module):
    @classmethod
    def from_pretrained(cls, name):
        return cls()

class Tagger(Pretrained):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        return self.head(x)

def tag(x):
    tagger = Tagger.from_pretrained("small")
    tagger.eval()
    return tagger(x).argmax(1).tolist()  # GL101

# run: tag(images)
# keeps: > 0 bytes
```

### a network out of a file
```python
import torch

def main_loop(path, x):
    policy_net = torch.load(path, weights_only=False)
    return policy_net(x).argmax(1).tolist()  # GL101

# run: torch.save(model, "policy.pt")
# run: main_loop("policy.pt", images)
# keeps: > 0 bytes
```

### one function for both phases, called for evaluation
```python
def run_epoch(model, loader, criterion, optimizer=None, train=True):
    if train:
        model.train()
    else:
        model.eval()
    total = 0.0
    for images, labels in loader:
        loss = criterion(model(images), labels)  # GL101
        if train:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        total += loss.item()
    return total / len(loader)

def main(optimizer):
    run_epoch(model, loader, criterion, optimizer)
    run_epoch(model, loader, criterion, train=False)

# run: run_epoch(model, loader, criterion, train=False)
# keeps: > 0 bytes
```

### the phase as a word
```python
class Trainer:
    def __init__(self, model, optimizer):
        self.model = model
        self.optimizer = optimizer

    def epoch(self, phase, loader):
        for images, labels in loader:
            loss = criterion(self.model(images), labels)  # GL101
            if phase != "val":
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
            print(phase, loss.item())

    def train(self, loader):
        self.epoch("train", loader)

    def validate(self, loader):
        self.epoch("val", loader)

# run: Trainer(model, None).validate(loader)
# keeps: > 0 bytes
```

### two models in one function, one finding
```python
def transcribe(encoder, decoder, clips):
    encoder.eval()
    decoder.eval()
    lines = []
    for clip in clips:
        hidden = encoder(clip)  # GL101
        tokens = decoder(hidden).argmax(-1)
        lines.append(tokens.tolist())
    return lines

# run: transcribe(model, nn.Linear(3, 5), [images])
# keeps: > 0 bytes
```

### a guard that does not reach into a thread
```python
import torch
from concurrent.futures import ThreadPoolExecutor

def label(model, images):
    model.eval()
    return model(images).argmax(1).tolist()  # GL101

def evaluate(model, loader):
    with torch.no_grad(), ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(label, model, images) for images, _ in loader]  # GL312
        return [job.result() for job in jobs]

# run: seen = []
# run: hook = model.register_forward_hook(lambda *parts: seen.append(parts[-1].requires_grad))
# run: evaluate(model, loader)
# shows: all(seen)
```

### an action of a rollout: what carries the graph is not used
```python
from torch import nn

class Actor(nn.Module):
    def __init__(self):
        super().__init__()
        self.network = nn.Linear(8, 3)

    def get_action(self, x, action=None):
        scores = self.network(x)
        if action is None:
            action = scores.argmax(1)
        return action, scores.softmax(1)

def train(optimizer):
    actor = Actor()
    for _ in range(3):
        action, _ = actor.get_action(images)  # GL101
        _, scores = actor.get_action(images, action)
        loss = -scores.max()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(action.cpu().numpy())

# run: train(torch.optim.SGD(model.parameters(), lr=0.1))
# keeps: > 0 bytes
```

### a script that loads a model
```python setup
torch.save(model, "model.pt")
```
```python
import torch

model = torch.load("model.pt", weights_only=False)
if torch.cuda.is_available():
    model = model.cuda()
scores = model(images)  # GL101
print(scores.detach().cpu().numpy())
# keeps: > 0 bytes
```

### an embedder in evaluation mode, cut off after its results were put together
```python
import torch

def train(model, embedder, loader, optimizer):
    embedder.eval()
    for images, _ in loader:
        found = []
        for image in images:
            found.append(embedder(image))  # GL101 GL103
        embedded = torch.stack(found)
        embedded = embedded.detach()
        loss = model(embedded).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

# run: train(model, torch.nn.Linear(8, 8), loader, torch.optim.SGD(model.parameters(), lr=0.1))
# keeps: > 0 bytes
```

### what the training loop validates with, by a name of the loop's own
```python setup
import unittest.mock
```
```python
from torch import nn

class Trainer:
    def __init__(self, net: nn.Module, val_set, sink):
        self.net = net
        self.val_set = val_set
        self.sink = sink

    def _validate(self, epoch):
        progress = tuple(self.val_set)
        for images, labels in progress:
            scores = self.net(images)  # GL101
            self.sink(epoch, scores)

    def train(self):
        for epoch in range(3):
            self._validate(epoch)

# run: Trainer(model, loader, unittest.mock.Mock()).train()
# keeps: > 0 bytes
```

### a helper that hands on what its callers waste: they are the place
```python
class Extractor:
    def __init__(self, model):
        self.model = model

    def both(self, x):
        hidden = x * 2
        return hidden, self.model(hidden)

class Ranker:
    def __init__(self, model):
        self.extractor = Extractor(model)

    def evaluate(self, x):
        hidden, scores = self.extractor.both(x)  # GL101
        return scores.argmax(1).tolist()

# run: Ranker(model).evaluate(images)
# keeps: > 0 bytes
```

### an action drawn from a distribution that a helper makes
```python
import torch
from torch.distributions import Categorical, Normal

def distribution(kind, output):
    if kind == "discrete":
        return Categorical(output.softmax(-1))
    return Normal(output, 1.0)

def pick_action(policy, state, kind):
    state = torch.from_numpy(state).float()
    output = policy.forward(state)  # GL101
    return distribution(kind, output).sample().cpu()

# run: import numpy; pick_action(model, numpy.ones(8), "discrete")
# keeps: > 0 bytes
```

### an error that training shows as well, and evaluation computes under a guard
```python
import torch
from torch import nn

class Bags(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(8, 1)

    def forward(self, bag):
        score = self.head(bag).sigmoid().mean()
        return score, score > 0.5

    def loss(self, bag, label):
        score, _ = self(bag)
        return -(label * score.log() + (1 - label) * (1 - score).log())

    def error(self, bag, label):
        _, guess = self.forward(bag)  # GL101
        return 1.0 - guess.eq(label).float().mean().item()

model = Bags()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

def train(bags):
    for bag, label in bags:
        optimizer.zero_grad()
        model.loss(bag, label).backward()
        print(model.error(bag, label))
        optimizer.step()

@torch.no_grad()
def evaluate(bags):
    model.eval()
    return sum(model.error(bag, label) for bag, label in bags)

train([(torch.ones(2, 8), torch.tensor(1.0))])

# run: model.error(torch.ones(2, 8), torch.tensor(1.0))
# keeps: > 0 bytes
```

### an array that is made under a guard says nothing of a script that holds none
```python
# file: solving.py
import numpy
import torch

class Solver:
    def __init__(self, model):
        self.model = model

    def test(self, loader):
        self.model.eval()
        scores = numpy.array([])
        with torch.no_grad():
            for images in loader:
                scores = numpy.append(scores, self.reconstruct(images))
        return scores

    def reconstruct(self, images):
        total = torch.zeros(3)
        for image in images:
            total += self.model(image)  # GL101
        return total / len(images)

# file: run.py
import torch
from solving import Solver

solver = Solver(torch.nn.Linear(8, 3))
solver.reconstruct(torch.ones(2, 8))

# run: solver.reconstruct(torch.ones(2, 8))
# keeps: > 0 bytes
```

### an action whose log-probability the caller throws away
```python
import torch
from torch import nn
from torch.distributions import Categorical

class Agent(nn.Module):
    def __init__(self):
        super().__init__()
        self.actor = nn.Linear(8, 3)

    def get_action(self, state):
        chances = Categorical(logits=self.actor(state))
        action = chances.sample()
        return action, chances.log_prob(action), chances.entropy()

def rollout(agent: Agent, states, actions):
    for index, state in enumerate(states):
        action, log_prob, entropy = agent.get_action(state)  # GL101
        actions[index] = action.cpu()

# run: rollout(Agent(), torch.ones(2, 8), torch.zeros(2))
# keeps: > 0 bytes
```

### a module that freezes itself, and then makes a head
```python
import torch
from torch import nn

class Transfer(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Linear(8, 16), nn.ReLU())
        for param in self.parameters():
            param.requires_grad = False
        self.head = nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3))

    def forward(self, images):
        return self.head(self.features(images))

class Thawing(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3)).requires_grad_(False)

    def thaw(self):
        self.features.requires_grad_(True)

    def forward(self, images):
        return self.features(images)

class Turned(nn.Module):
    def __init__(self, requires_grad=False):
        super().__init__()
        requires_grad = not requires_grad
        self.features = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
        if not requires_grad:
            self.requires_grad_(False)

    def forward(self, images):
        return self.features(images)

def evaluate(images):
    model = Transfer()
    return model(images).mean().item()  # GL101

def evaluate_thawed(images):
    model = Thawing()
    model.thaw()
    return model(images).mean().item()  # GL101

def evaluate_turned(images):
    model = Turned()
    return model(images).mean().item()  # GL101

# run: evaluate(torch.ones(4, 8))
# run: evaluate_turned(torch.ones(4, 8))
# run: evaluate_thawed(torch.ones(4, 8))
# keeps: > 0 bytes
```

### a forward that is guarded in evaluation only, run in training mode
```python
import torch
from torch import nn

class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))

    def forward(self, images):
        if self.training:
            return self.net(images)
        with torch.no_grad():
            return self.net(images)

@torch.no_grad()
def test(images):
    return Generator().eval()(images).mean().item()

def evaluate(images):
    generator = Generator()
    return generator(images).mean().item()  # GL101

# run: evaluate(torch.ones(4, 8))
# keeps: > 0 bytes
```

### by a plain function that is called `forward`
```python
import torch

def forward(net, images, labels, criterion):
    out = net(images)
    return out, criterion(out, labels)

def validate(loader, net, criterion):
    net.eval()
    losses = []
    for images, labels in loader:
        out, loss = forward(net, images, labels, criterion)  # GL101
        losses.append(loss.data.cpu().numpy())
    return losses

# run: net, data = torch.nn.Linear(2, 1), [(torch.ones(3, 2), torch.ones(3, 1))]
# run: out, loss = forward(net, *data[0], torch.nn.MSELoss())
# shows: loss.requires_grad and len(validate(data, net, torch.nn.MSELoss())) == 1
```

### a detector whose layers a function makes, run once to warm up
```python
import torch
from torch import nn

def create_modules(sizes):
    layers = nn.ModuleList()
    for size in sizes:
        block = nn.Sequential()
        block.add_module("linear", nn.Linear(size, size))
        layers.append(block)
    return (len(sizes), layers)

class Detector(nn.Module):
    def __init__(self, sizes):
        super().__init__()
        self.count, self.layers = create_modules(sizes)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x

model = Detector([4, 4])
model.eval()
model(torch.randn(1, 4))  # GL101
with torch.no_grad():
    print(model(torch.randn(1, 4)).argmax(1))
# shows: model(torch.randn(1, 4)).requires_grad
```

### the validation loop of a training function, which keeps and returns what it sums up
```python
import torch

def train(net, optimizer, criterion, train_loader, val_loader, epochs):
    history = []
    for epoch in range(epochs):
        net.train()
        for images, labels in train_loader:
            optimizer.zero_grad()
            criterion(net(images), labels).backward()
            optimizer.step()
        net.eval()
        val_loss = 0
        for images, labels in val_loader:
            val_loss += criterion(net(images), labels)  # GL101
        val_loss /= len(val_loader)
        history.append(val_loss)
        print("validation", val_loss.item())
    return history

# run: train(model, torch.optim.SGD(model.parameters(), lr=0.1), criterion, loader, loader, 1)
# keeps: > 0 bytes
```

### data beside what is detached, in one dict
```python
import torch
from torch import nn

class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 3)

    def forward(self, inputs):
        return {"points": inputs["points"], "scores": self.layer(inputs["points"])}

def evaluate_one_epoch(net, batches):
    net.eval()
    for batch in batches:
        found = net({"points": batch})  # GL101
        scores = found["scores"].detach().cpu().numpy()
        print(scores.max(), found["points"].cpu().numpy().shape)

# run: evaluate_one_epoch(Detector(), [torch.ones(2, 8)])
# keeps: > 0 bytes
```

### a model under the name of the module that it was imported from
```python
# file: model.py
from torch import nn

class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 3)

    def forward(self, x):
        return self.layer(x)

# file: pointer.py
import torch
import model

def evaluate(batches):
    model.eval()
    return [model(batch).argmax(1).tolist() for batch in batches]  # GL101

model = model.Tagger()

# run: evaluate([torch.ones(2, 8)])
# keeps: > 0 bytes
```

## Silent

### a pipeline of a library that is handed on
```python
from transformers import pipeline

def transcribe(asr_model, recordings):
    texts = []
    for found in asr_model(recordings, batch_size=4):
        texts.append(found["text"])
    return texts

def evaluate(recordings):
    texts = transcribe(pipeline("automatic-speech-recognition"), recordings)
    print(f"{texts}")
```

### a parameter that is said to be of a class which has no such method
```python
import torch
from torch import nn

class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(2, 2)

    def forward(self, observation):
        return torch.distributions.Categorical(logits=self.net(observation))

class Agent(nn.Module):
    def __init__(self):
        super().__init__()
        self.actor = Policy()

    def get_action(self, observation):
        with torch.no_grad():
            return self.actor(observation).sample()

def sample_trajectory(env, policy: Policy, steps):
    observation = env.reset()
    for _ in range(steps):
        observation = env.step(policy.get_action(observation))
    return observation.tolist()
```

### an object that keeps the graph it walks later
```python
import torch

class Saliency:
    def __init__(self, model):
        self.model = model

    def forward(self, images):
        self.images = images.requires_grad_()
        self.logits = self.model(self.images)
        return self.logits.softmax(dim=1).sort(dim=1, descending=True)

    def backward(self, ids):
        self.logits.backward(gradient=torch.zeros_like(self.logits).scatter_(1, ids, 1.0), retain_graph=True)

    def generate(self):
        return self.images.grad.clone()

def demo(model, images):
    model.eval()
    saliency = Saliency(model)
    probabilities, ids = saliency.forward(images)
    saliency.backward(ids[:, [0]])
    print(ids[0, 0].item(), probabilities[0, 0].item())
    return saliency.generate()
```

### a guard in the caller
```python
import torch

def label(model, images):
    model.eval()
    return model(images).argmax(1).tolist()

def evaluate(model, loader):
    with torch.no_grad():
        return [label(model, images) for images, _ in loader]

# run: evaluate(model, loader)
# keeps: 0 bytes
```

### a guard in the caller, in another file
```python
# file: metrics.py
def count_hits(model, batch):
    images, labels = batch
    return (model(images).argmax(1) == labels).sum().item()

# file: evaluate.py
import torch
from metrics import count_hits

@torch.inference_mode()
def evaluate(model, loader):
    model.eval()
    return sum(count_hits(model, batch) for batch in loader)

# run: evaluate(model, loader)
# keeps: 0 bytes
```

### all callers hold a guard, two steps away
```python
# file: pkg/__init__.py
from .steps import run_step

# file: pkg/steps.py
def run_step(model, images):
    model.eval()
    return forward_step(model, images)

def forward_step(model, images):
    return model(images).argmax(1).tolist()

# file: main.py
import torch
from pkg import run_step

def validate(model, loader):
    with torch.no_grad():
        return [run_step(model, images) for images, _ in loader]

class Service:
    @torch.no_grad()
    def predict(self, model, images):
        return run_step(model, images)

# run: validate(model, loader)
# run: Service().predict(model, images)
# keeps: 0 bytes
```

### a decorator from another file that returns a guarded function
```python
# file: torch_tools.py
import torch

def smart_inference_mode(torch_1_9=True):
    def decorate(fn):
        return (torch.inference_mode if torch_1_9 else torch.no_grad)()(fn)

    return decorate

# file: val.py
from torch_tools import smart_inference_mode

@smart_inference_mode()
def run(model, loader):
    model.eval()
    return [model(images).argmax(1).tolist() for images, _ in loader]

# run: run(model, loader)
# keeps: 0 bytes
```

### a project's own wrapper
```python
import functools
import torch

def evaluation(fn):
    @functools.wraps(fn)
    def wrapped(model, *inputs):
        model.eval()
        with torch.no_grad():
            return fn(model, *inputs)

    return wrapped

@evaluation
def predict(model, images):
    return model(images).argmax(1).tolist()

# run: predict(model, images)
# keeps: 0 bytes
```

### bare decorators, on functions and methods
```python
import torch

@torch.no_grad
def predict(model, images):
    model.eval()
    return model(images).argmax(1).tolist()

class Service:
    def __init__(self, model):
        self.model = model.eval()

    @torch.inference_mode
    def predict(self, images):
        return self.model(images).argmax(1).tolist()

    @staticmethod
    @torch.no_grad()
    def label(model, images):
        return model(images).argmax(1).tolist()

# run: predict(model, images)
# run: Service(model).predict(images)
# run: Service.label(model, images)
# keeps: 0 bytes
```

### wrapped by a call
```python
import torch

def predict(model, images):
    model.eval()
    return model(images).argmax(1).tolist()

predict = torch.no_grad()(predict)
# run: predict(model, images)
# keeps: 0 bytes
```

### a library method that guards itself
```python
from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline

tokenizer = AutoTokenizer.from_pretrained("some/model")
model = AutoModelForCausalLM.from_pretrained("some/model").eval()

def answer(prompt):
    inputs = tokenizer(prompt, return_tensors="pt")
    tokens = model.generate(**inputs, max_new_tokens=20)
    return tokenizer.decode(tokens[0])

def sentiments(texts):
    classify = pipeline("sentiment-analysis")
    return [found["label"] for found in classify(texts)]
```

### objects of libraries that guard themselves
```python
from transformers import pipeline
from ultralytics import YOLO

classifier = pipeline("sentiment-analysis")
model = YOLO("yolo11n.pt")

def predict(texts):
    return [found["label"] for found in classifier(texts)]

def detect(paths):
    return [len(result.boxes) for result in model(paths)]
```

### an object that is called, of a class that says nothing of inference
```python
import torch

class NoiseProcess:
    def __init__(self, unet, scheduler):
        self.unet, self.scheduler = unet, scheduler

    def __call__(self, shape, steps):
        image = torch.randn(shape)
        for step in self.scheduler.steps(steps):
            noise = self.unet(image)
            image = self.scheduler.step(noise, step, image)
        return image

class Scheduler:
    def steps(self, count):
        return range(count)

    def step(self, noise, step, image):
        self.last = noise
        return image - 0.1 * noise
```

### hooks of Lightning
```python
import pytorch_lightning as pl

class Classifier(pl.LightningModule):
    def __init__(self, net, criterion):
        super().__init__()
        self.net = net
        self.criterion = criterion

    def forward(self, images):
        return self.net(images)

    def training_step(self, batch, batch_idx):
        return self.criterion(self(batch[0]), batch[1])

    def validation_step(self, batch, batch_idx):
        images, labels = batch
        scores = self(images)
        self.log("val_loss", self.criterion(scores, labels).item())

    def test_step(self, batch, batch_idx):
        self.log("hits", (self.net(batch[0]).argmax(1) == batch[1]).float().mean().item())

    def predict_step(self, batch, batch_idx):
        return self(batch[0]).argmax(1).tolist()
```

### an adversarial attack
```python
import torch

def attack_accuracy(model, loader, criterion, epsilon):
    model.eval()
    hits = 0
    for images, labels in loader:
        images = images.clone().requires_grad_()
        loss = criterion(model(images), labels)
        (slope,) = torch.autograd.grad(loss, images)
        with torch.no_grad():
            attacked = images + epsilon * slope.sign()
            hits += (model(attacked).argmax(1) == labels).sum().item()
    return hits

# run: attack_accuracy(model, loader, criterion, 0.1)
```

### an attack by backward
```python
def fgsm(model, images, labels, criterion, epsilon):
    model.eval()
    images.requires_grad = True
    outputs = model(images)
    guesses = outputs.argmax(1).tolist()
    model.zero_grad()
    criterion(outputs, labels).backward()
    return images.detach() + epsilon * images.grad.sign(), guesses

# run: fgsm(model, images, labels, criterion, 0.1)
```

### a saliency map
```python
def saliency(model, image):
    model.eval()
    image = image.detach().clone()
    image.requires_grad_()
    scores = model(image)
    label = scores.argmax(1).item()
    scores[0, label].backward()
    return image.grad.abs()

# run: out = saliency(model, images[:1])
# shows: out.sum() > 0
```

### a gradient penalty
```python
import torch

def gradient_penalty(critic, real, fake):
    critic.eval()
    mixed = torch.lerp(real, fake, torch.rand(len(real), 1)).requires_grad_()
    scores = critic(mixed)
    (slope,) = torch.autograd.grad(scores.sum(), mixed, create_graph=True)
    return ((slope.norm(dim=1) - 1) ** 2).mean()

# run: gradient_penalty(model, images, images + 1).backward()
```

### forces
```python
import torch

def evaluate(potential, positions):
    potential.eval()
    positions.requires_grad_()
    energy = potential(positions).sum()
    forces = -torch.autograd.grad(energy, positions)[0]
    return energy.item(), forces.tolist()

# run: evaluate(model, images)
```

### the inner loop of meta-learning
```python
import torch
from torch.func import functional_call

def adapt_and_test(model, criterion, support, query, lr):
    model.eval()
    weights = dict(model.named_parameters())
    loss = criterion(functional_call(model, weights, support[0]), support[1])
    slopes = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
    fast = {name: w - lr * g for (name, w), g in zip(weights.items(), slopes)}
    return criterion(functional_call(model, fast, query[0]), query[1])

# run: adapt_and_test(model, criterion, loader[0], loader[1], 0.1).backward()
```

### training at test time
```python
def adapt(model, optimizer, loader):
    model.eval()
    guesses = []
    for images, _ in loader:
        scores = model(images)
        entropy = -(scores.softmax(1) * scores.log_softmax(1)).sum(1).mean()
        optimizer.zero_grad()
        entropy.backward()
        optimizer.step()
        guesses.extend(scores.argmax(1).tolist())
    return guesses

# run: adapt(model, torch.optim.SGD(model.parameters(), lr=0.1), loader)
```

### a latent that is optimised
```python
import torch

def invert(generator, target, steps):
    generator.eval()
    latent = torch.zeros(1, 8, requires_grad=True)
    optimizer = torch.optim.Adam([latent], lr=0.1)
    for _ in range(steps):
        loss = (generator(latent) - target).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return latent.detach()

# run: invert(model, torch.zeros(1, 3), 2)
```

### sampling that follows a gradient
```python
import torch

def langevin_sample(energy, x, steps):
    energy.eval()
    for _ in range(steps):
        x = x.detach().requires_grad_()
        (slope,) = torch.autograd.grad(energy(x).sum(), x)
        x = x - 0.1 * slope + 0.01 * torch.randn_like(x)
    return x.detach()

# run: langevin_sample(model, images, 2)
```

### a frozen model with plain input
```python
import torch
from torch import nn

encoder = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
encoder.eval()
for param in encoder.parameters():
    param.requires_grad = False

def embed(images):
    return encoder(images).argmax(1).tolist()

print(embed(torch.randn(4, 8)))
# keeps: 0 bytes
```

### a forward with a guard of its own
```python
import torch
from torch import nn

class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))

    def forward(self, images):
        with torch.no_grad():
            found = self.net(images)
        return found

class Normalized(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = Encoder()

    def forward(self, images):
        return self.encoder(images / 255)

def evaluate(images):
    encoder = Encoder()
    encoder.eval()
    return encoder(images).mean().item()

def evaluate_pixels(pixels):
    encoder = Normalized()
    encoder.eval()
    return encoder(pixels).mean().item()

# run: evaluate(torch.ones(4, 8))
# run: evaluate_pixels(torch.ones(4, 8))
# keeps: 0 bytes
```

### a forward that is guarded in evaluation, of a module that another method has wrapped
```python
import torch
from torch import nn

class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))

    def forward(self, images):
        if self.training:
            out = self.net(images)
        else:
            out = self.sharpened(images)
        return out

    def sharpened(self, images):
        with torch.no_grad():
            return self.net(images).clamp(0, 1).numpy()

class Restorer:
    def __init__(self, distributed=False):
        self.distributed = distributed
        self.generator = Generator()
        self.generator = self.placed(self.generator)

    def placed(self, net):
        net = net.to("cpu")
        if self.distributed:
            net = nn.parallel.DistributedDataParallel(net)
        return net

    def infer(self, images):
        self.generator.eval()
        restored = self.generator(images)
        return restored[1:]

# run: Restorer().infer(torch.ones(4, 8))
# keeps: 0 bytes
```

### modules that freeze all they are made of
```python
import torch
from torch import nn

def backbone():
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))

class Whole(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(8, 8)
        self.rest = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
        for param in self.parameters():
            param.requires_grad = False

    def forward(self, images):
        return self.rest(self.first(images))

class ByMethod(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
        self.freeze()

    def freeze(self):
        for param in self.parameters():
            param.requires_grad = False

    def forward(self, images):
        return self.net(images)

class ByDefault(nn.Module):
    def __init__(self, requires_grad=False):
        super().__init__()
        self.net = backbone()
        if not requires_grad:
            self.requires_grad_(False)

    def forward(self, images):
        return self.net(images)

class ByParts(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3)).requires_grad_(False)
        self.pool = nn.AvgPool1d(3)

    def forward(self, images):
        return self.pool(self.net(images))

class Sliced(nn.Module):
    def __init__(self, layers=2):
        super().__init__()
        model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
        self.features = nn.Sequential(*list(model.children())[:layers])
        for _, param in self.features.named_parameters():
            param.requires_grad = False

    def forward(self, images):
        return self.features(images)

def sliced(parallel=False):
    net = Sliced()
    if parallel:
        net = nn.DataParallel(net)
    net.eval()
    return net

class Distance(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = Whole()
        self.compare = nn.MSELoss()

    def forward(self, left, right):
        return self.compare(self.features(left), self.features(right))

def evaluate(images):
    whole, method, default, parts, distance = Whole(), ByMethod(), ByDefault(), ByParts(), Distance()
    rest = sliced()
    scores = [net(images).mean().item() for net in (whole, method, default, parts)]
    return [whole(images).max().item(), method(images).max().item(), default(images).max().item(),
            parts(images).max().item(), distance(images, images).item(), rest(images).max().item(), *scores]

# run: evaluate(torch.ones(4, 8))
# keeps: 0 bytes
```

### frozen in one call
```python
import torch
from torch import nn

def predict(pixels):
    net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3)).eval()
    net.requires_grad_(False)
    return net(torch.tensor([pixels])).argmax(1).item()

# run: predict([0.0] * 8)
# keeps: 0 bytes
```

### a module whose parts are called by training too
```python
from torch import nn

class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(8, 16)
        self.head = nn.Linear(16, 3)

    def forward(self, images):
        return self.head(self.encode(images))

    def encode(self, images):
        return self.encoder(images).relu()

    def predict(self, images):
        return self.forward(images).softmax(1)

# run: Classifier().predict(images).sum().backward()
```

### a forward returned to a caller that trains
```python
# file: steps.py
def eval_step(model, images):
    model.eval()
    return model(images)

# file: finetune.py
from steps import eval_step

def finetune(model, loader, criterion, optimizer):
    for images, labels in loader:
        loss = criterion(eval_step(model, images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

# run: finetune(model, loader, criterion, torch.optim.SGD(model.parameters(), lr=0.1))
```

### fine-tuning with frozen statistics
```python
def finetune(model, loader, criterion, optimizer):
    model.eval()
    hits = 0
    for images, labels in loader:
        scores = model(images)
        loss = criterion(scores, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        hits += (scores.argmax(1) == labels).sum().item()
    return hits

# run: finetune(model, loader, criterion, torch.optim.SGD(model.parameters(), lr=0.1))
```

### a loss through a model in eval mode
```python
from torch import nn

class PerceptualLoss(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.features = features.eval()

    def forward(self, output, target):
        return nn.functional.mse_loss(self.features(output), self.features(target))

# run: PerceptualLoss(model)(images.requires_grad_(), images.detach() + 1).backward()
```

### log-probabilities kept for the policy gradient
```python
import torch
from torch.distributions import Categorical

def select_action(policy, state):
    chances = Categorical(logits=policy(torch.as_tensor(state)))
    action = chances.sample()
    policy.saved_log_probs.append(chances.log_prob(action))
    return action.item()

def finish_episode(policy, optimizer, returns):
    loss = -(torch.stack(policy.saved_log_probs) * returns).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

# run: model.saved_log_probs = []
# run: select_action(model, [0.0] * 8)
# run: finish_episode(model, torch.optim.SGD(model.parameters(), lr=0.1), torch.ones(1))
```

### one loop for both phases
```python
import torch

def run_epoch(model, loaders, criterion, optimizer):
    for phase in ["train", "val"]:
        model.train(phase == "train")
        for images, labels in loaders[phase]:
            with torch.set_grad_enabled(phase == "train"):
                scores = model(images)
                loss = criterion(scores, labels)
                if phase == "train":
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
            print(phase, loss.item(), scores.argmax(1).tolist())

# run: run_epoch(model, {"train": [], "val": loader}, criterion, None)
# keeps: 0 bytes
```

### a mode chosen beforehand
```python
import contextlib
import torch

def run_epoch(model, loader, criterion, optimizer=None):
    evaluating = optimizer is None
    model.train(not evaluating)
    context = torch.no_grad() if evaluating else contextlib.nullcontext()
    with context:
        for images, labels in loader:
            loss = criterion(model(images), labels)
            if optimizer is not None:
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            print(loss.item())

# run: run_epoch(model, loader, criterion)
# keeps: 0 bytes
```

### one of several functions, called under a guard
```python
import torch
from functools import partial

class Searcher:
    def __init__(self, model, greedy):
        self.model = model.eval()
        self.pick = self.greedy if greedy else self.sampled

    def greedy(self, images):
        return self.model(images).argmax(1).tolist()

    def sampled(self, images):
        return torch.multinomial(self.model(images).softmax(1), 1).tolist()

    def wide(self, images):
        return self.model(images).topk(2).indices.tolist()

def evaluate_top(model, images):
    model.eval()
    return model(images).argmax(1).tolist()

def evaluate_mean(model, images):
    model.eval()
    return model(images).mean(1).tolist()

def evaluate_spread(model, images):
    model.eval()
    return model(images).std(1).tolist()

def evaluate_range(model, images):
    model.eval()
    return model(images).max(1).values.tolist()

def evaluate_least(model, images):
    model.eval()
    return model(images).min(1).values.tolist()

def evaluate_norm(model, images):
    model.eval()
    return model(images).norm().item()

TASKS = {"top": evaluate_top, "mean": evaluate_mean, "least": evaluate_mean}
OTHERS = {"least": evaluate_least}

def main(model, images, task, wide):
    searcher = Searcher(model, task == "top")
    if wide:
        search = searcher.wide
    else:
        search = searcher.pick
    run = partial(evaluate_range, model)
    other = OTHERS.get(task)
    fallback = other or evaluate_norm
    with torch.no_grad():
        found = [search(images), searcher.pick(images), TASKS[task](model, images), run(images)]
        for evaluate in (evaluate_spread, evaluate_mean):
            found.append(evaluate(model, images))
        if other is not None:
            found.append(other(model, images))
        found.append(fallback(model, images))
    return found

# run: main(model, images, "top", True)
# run: main(model, images, "least", False)
# keeps: 0 bytes
```

### a context manager of the project
```python
# file: modes.py
import contextlib
import torch

@contextlib.contextmanager
def evaluating(model):
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield model
    finally:
        model.train(was_training)

# file: predict.py
from modes import evaluating

def predict(model, images):
    with evaluating(model):
        return model(images).argmax(1).tolist()

# run: predict(model, images)
# keeps: 0 bytes
```

### a context manager class of the project
```python
import torch

class Evaluation:
    def __init__(self, model):
        self.model = model

    def __enter__(self):
        self.before = torch.is_grad_enabled()
        torch.set_grad_enabled(False)
        self.model.eval()
        return self

    def __exit__(self, *error):
        torch.set_grad_enabled(self.before)

def predict(model, images):
    with Evaluation(model):
        return model(images).argmax(1).tolist()

# run: predict(model, images)
# keeps: 0 bytes
```

### an exit stack
```python
import torch
from contextlib import ExitStack

def predict(model, images):
    model.eval()
    with ExitStack() as stack:
        stack.enter_context(torch.autocast("cpu"))
        stack.enter_context(torch.no_grad())
        return model(images).argmax(1).tolist()

# run: predict(model, images)
# keeps: 0 bytes
```

### switched off by a statement, and restored
```python
import torch

def predict(model, images):
    model.eval()
    before = torch.is_grad_enabled()
    torch.set_grad_enabled(False)
    try:
        return model(images).argmax(1).tolist()
    finally:
        torch.set_grad_enabled(before)

# run: predict(model, images)
# keeps: 0 bytes
```

### switched off at the top of a script
```python
import torch
from torch import nn

torch.set_grad_enabled(False)

model = nn.Linear(8, 3)
model.load_state_dict({"weight": torch.zeros(3, 8), "bias": torch.zeros(3)})
model.eval()

def label(images):
    return model(images).argmax(1).tolist()

print(label(torch.randn(4, 8)))
# keeps: 0 bytes
```

### guards under other names
```python
import torch.autograd as autograd
from torch import no_grad as ng
from torch.autograd.grad_mode import inference_mode

frozen = ng()

def a(model, images):
    with ng():
        return model.eval()(images).argmax(1).tolist()

def b(model, images):
    model.eval()
    with autograd.no_grad():
        return model(images).argmax(1).tolist()

def c(model, images):
    model.eval()
    with inference_mode(), frozen:
        return model(images).argmax(1).tolist()

# run: a(model, images)
# run: b(model, images)
# run: c(model, images)
# keeps: 0 bytes
```

### accuracy on the way of a training step
```python
def train_epoch(model, loader, criterion, optimizer):
    model.train()
    hits, total = 0, 0.0
    for images, labels in loader:
        scores = model(images)
        loss = criterion(scores, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        hits += (scores.argmax(1) == labels).sum().item()
        total += loss.item()
    return total, hits

# run: train_epoch(model, loader, criterion, torch.optim.SGD(model.parameters(), lr=0.1))
```

### a loss for whoever trains on it
```python
def compute_loss(model, batch, criterion):
    images, labels = batch
    scores = model(images)
    loss = criterion(scores, labels)
    return loss, {"loss": loss.item(), "hits": (scores.argmax(1) == labels).sum().item()}

# run: compute_loss(model, loader[0], criterion)[0].backward()
```

### a unit test
```python
# file: tests/test_net.py
import torch
from torch import nn

def test_net_keeps_the_batch_size():
    net = nn.Linear(8, 3)
    net.eval()
    assert net(torch.zeros(4, 8)).shape == (4, 3)

# run: test_net_keeps_the_batch_size()
```

### a calibration that needs gradients
```python
import torch

def calibrate(model, val_loader, criterion):
    model.eval()
    temperature = torch.ones(1, requires_grad=True)
    optimizer = torch.optim.LBFGS([temperature], max_iter=2)
    with torch.no_grad():
        pairs = [(model(images), labels) for images, labels in val_loader]

    def closure():
        optimizer.zero_grad()
        loss = sum(criterion(scores / temperature, labels) for scores, labels in pairs)
        loss.backward()
        return loss

    optimizer.step(closure)
    return temperature.item()

# run: calibrate(model, loader, criterion)
```

### detached inputs do not make it inference
```python
def discriminator_step(discriminator, generator, noise, criterion, optimizer):
    fake = generator(noise)
    loss = criterion(discriminator(fake.detach()), noise)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return fake, loss.item()

# run: step = torch.optim.SGD(model.parameters(), lr=0.1)
# run: discriminator_step(model, nn.Linear(3, 8), torch.randn(4, 3), nn.MSELoss(), step)
```

### a method handed over and called back under a guard
```python
class Learner:
    def __init__(self, model):
        self.model = model

    def returns(self, batch, predict_next):
        with torch.no_grad():
            return batch.mean() + predict_next(batch)

    def targets(self, batch):
        return self.returns(batch, predict_next=self.predict_values)

    def predict_values(self, batch):
        return torch.zeros(1)

class DoubleLearner(Learner):
    def predict_values(self, batch):
        best = self.model(batch).argmax(1)
        return self.model(batch)[range(len(best)), best].mean()

# run: DoubleLearner(model).targets(images)
# shows: True
```

### a function that a constructor keeps and a guarded method calls
```python
def extract_features(x):
    features = model(x)
    return features.tolist()

class Index:
    def __init__(self, extractor):
        self.extractor = extractor

    @torch.no_grad()
    def add(self, x):
        return self.extractor(x)

Index(extract_features).add(images)
```

### a pyramid without parameters
```python
import torch
from torch import nn

class Halve(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("kernel", torch.ones(1, 1, 2))

    def forward(self, x):
        return nn.functional.conv1d(x, self.kernel, stride=2)

class Pyramid(nn.Module):
    def __init__(self, levels):
        super().__init__()
        steps = {}
        for level in range(levels):
            steps[str(level)] = Halve()
        self.steps = nn.ModuleDict(steps)

    def forward(self, x):
        return {name: step(x) for name, step in self.steps.items()}

pyramid = Pyramid(2)
pyramid.eval()
for name, value in pyramid(torch.randn(1, 1, 8)).items():
    print(name, value.argmax().item())
```

### a function of autograd is no module
```python
import torch
from torch import nn

class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    def backward(ctx, grad):
        return grad * 2

class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.double = Doubled.apply

    def forward(self, x):
        return self.double(x)

def evaluate(x):
    scale = Scale().eval()
    return scale(x).argmax().item()

# run: evaluate(images)
```

### a metric that is kept like a module
```python
class Accuracy(nn.Module):
    def forward(self, guess, truth):
        return (guess.argmax(1) == truth).float().mean()

class Evaluator(nn.Module):
    def __init__(self, make_metric):
        super().__init__()
        self.test_metrics = nn.ModuleDict({"accuracy": make_metric()})

    def evaluate(self, guess, truth):
        for name in self.test_metrics:
            value = self.test_metrics[name](guess, truth)
            print(name, value.item())

# run: Evaluator(Accuracy).evaluate(torch.randn(4, 3), labels)
```

### the graph itself is looked at
```python
def walk(node, depth=0):
    if node is not None:
        print(" " * depth, node)
        for inner, _ in node.next_functions:
            walk(inner, depth + 1)

model.eval()
y = model(images)
walk(y.grad_fn)
```

### a distribution of one's own, made from the result
```python
class Squashed:
    def __init__(self, mean):
        self.mean = mean

    def log_prob(self, action):
        return -((action - self.mean) ** 2).sum()

def create_distribution(output):
    assert output.size()[1] == 3
    return Squashed(output)

def evaluate_actions(policy, states, actions):
    output = policy.forward(states)
    return create_distribution(output).log_prob(actions)

def improve(policy, states, actions, optimizer):
    loss = -evaluate_actions(policy, states, actions)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

# run: improve(model, images, torch.zeros(4, 3), torch.optim.SGD(model.parameters(), lr=0.1))
```

### what a test does with it says nothing of others
```python
class Flow(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(8, 8)

    def forward(self, x):
        return x + self.net(x)

    def inverse(self, z):
        return z - self.net(z)

class TestFlow:
    def test_inverse(self):
        flow = Flow()
        assert (flow.inverse(images) < 100).all()

# run: TestFlow().test_inverse()
```

### an array is made of it elsewhere, so nothing was recorded
```python
class Decoder:
    def __call__(self, x):
        return x * 2

def decode(masks, stft_decoder):
    return stft_decoder(masks)

def metrics(masks):
    return decode(masks, Decoder()).numpy().mean()

# run: metrics(torch.ones(2, 2))
```

### a class, or what makes a model, called with its settings
```python
class Net(nn.Module):
    def __init__(self, opt=None, width=8):
        super().__init__()
        self.head = nn.Linear(width, 3)

    @torch.no_grad()
    def test(self, x):
        return self.head(x).argmax(1).tolist()

def make_net(width):
    return Net(width=width)

_models = {"small": make_net, "large": Net}

def find_model(name):
    return {"net": Net}[name]

def evaluate(opt, name, **kwargs):
    model = find_model("net")
    first = model(opt)
    first.eval()
    second = _models[name](**kwargs)
    second.eval()
    return first.test(images), second.test(images)

# run: evaluate(None, "small", width=8)
```

### a scripted model whose method guards itself
```python
class Scripted(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(8, 3)

    @torch.jit.export
    def forward_jit(self, x):
        with torch.no_grad():
            return self.head(x).softmax(1)

    def forward(self, x):
        return self.head(x)

def predict(path, x):
    model = torch.jit.load(path)
    return model.forward_jit(x).argmax(1).tolist()

# run: torch.jit.script(Scripted()).save("scripted.pt")
# run: predict("scripted.pt", images)
```

### a processor that goes by a model's name
```python
class Extractor:
    def __call__(self, clips, return_tensors=None):
        return torch.stack(clips)

def extract(feature_extractor, clips):
    return feature_extractor(clips, return_tensors="pt").tolist()

# run: extract(Extractor(), [torch.ones(2)])
```

### one function for both phases, evaluated under a guard
```python
def run_epoch(model, loader, criterion, optimizer=None, train=True):
    for images, labels in loader:
        loss = criterion(model(images), labels)
        if train:
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(loss.item())

def main(optimizer):
    run_epoch(model, loader, criterion, optimizer)
    with torch.no_grad():
        run_epoch(model, loader, criterion, train=False)
```

### one function for both phases, which chooses the mode itself
```python
def run_epoch(model, loader, criterion, optimizer=None, train=True):
    for images, labels in loader:
        with torch.set_grad_enabled(train):
            loss = criterion(model(images), labels)
        if train:
            loss.backward()
            optimizer.step()
        print(loss.item())

run_epoch(model, loader, criterion, train=False)
```

### a branch that no caller takes
```python
def predict(model, x, train=False):
    if train:
        return model(x).argmax(1).tolist()
    with torch.no_grad():
        return model(x).argmax(1).tolist()

predict(model, images)
```

### a phase that is trained on as well
```python
def run_epoch(model, loader, criterion, optimizer, freeze=False):
    for images, labels in loader:
        loss = criterion(model(images), labels)
        if freeze:
            print("frozen")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(loss.item())

def main(optimizer):
    run_epoch(model, loader, criterion, optimizer, freeze=True)

# run: main(torch.optim.SGD(model.parameters(), lr=0.1))
```

### counted and printed, not called
```python
from torch import nn

model = nn.Linear(8, 3).eval()
size = sum(param.numel() for param in model.parameters())
print(size, model.training, str(model))
# keeps: 0 bytes
```

### no torch anywhere
```python
def predict(model, text):
    model.eval()
    return [token.label for token in model(text)]

def evaluate(model, rows):
    return sum(model.predict(row) == row.label for row in rows)
```

### a model of another framework
```python
import tensorflow as tf

model = tf.keras.models.load_model("model.keras")

def predict(images):
    return model(images, training=False).numpy().argmax(1).tolist()
```

### an array of what still has its graph would raise: there is none
```python
import torch

def extract(model, loader):
    found = []
    for images, _ in loader:
        found.append(model(images).cpu())
    return torch.cat(found).numpy()
```

### a class in a variable that is called like its instance
```python
import torch
from models import MODELS

def evaluate(name, images):
    model = MODELS[name]
    model = model(images.shape[1])
    print(model)
    with torch.no_grad():
        return model.scores(images).argmax(1).tolist()
```

### what a forward gives is a function, and trained on
```python
def step(model, optimizer, batch):
    quantiles = model(batch)
    values = quantiles(batch.taus)
    loss = values.mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(loss.item())

def predict(model, batch):
    values = model(batch)(batch.taus)
    return values
```

### what a unit test compares
```python
# file: tests/test_cell.py
import unittest

class Cells(unittest.TestCase):
    def setUp(self):
        self.cell = torch.nn.LSTMCell(4, 4)
        self.cell.eval()

    def _check(self, x):
        hidden, _ = self.cell(x)
        assert hidden.shape[0] == len(x)
        print(hidden.argmax(1).tolist())
```

### a tokenizer, which encodes and decodes as some model of the project does
```python
import torch
from torch import nn
from words import load_words

class Autoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 3)

    def decode(self, z):
        return self.layer(z)

def predict(numbers):
    tokenizer = load_words("words.txt")
    return tokenizer.decode(numbers).tolist()
```

### `as_tensor` hands a tensor through, with its graph
```python
import torch
from torch import nn

class Warp(nn.Module):
    def __init__(self):
        super().__init__()
        self.predictor = nn.Linear(4, 4)

    def matrix(self, images):
        return torch.as_tensor(self.predictor(images), device=images.device)

def evaluate(warp, images):
    warp.eval()
    matrix = warp.matrix(images)
    return matrix @ images.T

model = Warp()
evaluate(model, torch.ones(2, 4)).sum().backward()
```

### a penalty that an engine adds to its loss
```python
import torch

class Distance:
    def __init__(self, weight):
        self.earlier, self.weight = None, weight

    def compute_features(self, model, images):
        model.eval()
        self.earlier.eval()
        return model.get_features(images), self.earlier.get_features(images)

    def penalty(self, model, images):
        if self.earlier is None:
            return 0
        new, old = self.compute_features(model, images)
        return self.weight * torch.nn.functional.mse_loss(new, old)

    def before_backward(self, engine):
        engine.loss += self.penalty(engine.model, engine.images)
```

### pairs that a list of the module keeps until its episode is over
```python
from collections import namedtuple
import torch
from torch import nn
from torch.distributions import Categorical

saveAction = namedtuple("SavedAction", ["log_prob", "value"])

class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.actor, self.critic = nn.Linear(8, 3), nn.Linear(8, 1)
        self.save_actions = []

    def forward(self, state):
        return self.actor(state).softmax(-1), self.critic(state)

policy = Policy()
optimizer = torch.optim.SGD(policy.parameters(), lr=0.1)

def select_action(state):
    probabilities, value = policy(state)
    chances = Categorical(probabilities)
    action = chances.sample()
    log_prob = chances.log_prob(action)
    policy.save_actions.append(saveAction(log_prob, value))
    return action.item()

def finish_episode(rewards):
    losses = [-log_prob * (r - value.item()) for (log_prob, value), r in zip(policy.save_actions, rewards)]
    optimizer.zero_grad()
    torch.stack(losses).sum().backward()
    optimizer.step()
    del policy.save_actions[:]

# run: select_action(torch.ones(8)), finish_episode([1.0])
# shows: policy.actor.weight.grad is not None
```

### a guard around the agent that is annotated
```python
from typing import Optional
import torch

class Agent:
    def __init__(self, model):
        self.model = model

    def run(self, state):
        return self.model(state).argmax(1).tolist()

class Trainer:
    def __init__(self, agent: Optional[Agent] = None):
        self.agent = agent

    def train(self, environment):
        state = environment.reset()
        while state is not None:
            with torch.no_grad():
                state = environment.step(self.agent.run(state))
```

### a module that takes steps of its own in its forward
```python
import torch
from torch import nn
from unrolling import differentiable

class Solver(nn.Module):
    def __init__(self, energy):
        super().__init__()
        self.energy = energy

    def forward(self, images):
        labels = torch.zeros(len(images), 3, requires_grad=True)
        inner = differentiable(torch.optim.SGD([labels], lr=0.1))
        for _ in range(5):
            labels = inner.step(self.energy(images, labels).sum())
        return labels

def evaluate(energy, loader):
    solver = Solver(energy)
    solver.eval()
    return sum((solver(images).argmax(1) == labels).sum().item() for images, labels in loader)
```

### a module that adapts before it answers
```python
import torch
from torch import nn

class Learner(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(8, 3)

    def forward(self, episode):
        return self.adapted(*episode)

    def adapted(self, support, labels, query):
        loss = nn.functional.cross_entropy(self.head(support), labels)
        gradients = torch.autograd.grad(loss, self.head.parameters())
        weight, bias = (p - 0.1 * g for p, g in zip(self.head.parameters(), gradients))
        return nn.functional.linear(query, weight, bias)

def evaluate(episodes):
    learner = Learner()
    learner.eval()
    return [learner(episode).argmax(1).tolist() for episode in episodes]

# run: evaluate([(torch.randn(4, 8), torch.randint(3, (4,)), torch.randn(4, 8))])
```

### a part of the module attacks it
```python
# file: attacks.py
import torch
from torch import nn

class Attacker(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, images, labels):
        images = images.clone().requires_grad_(True)
        loss = nn.functional.cross_entropy(self.model(images), labels)
        return images + 0.1 * torch.autograd.grad(loss, [images])[0].sign()

class Attacked(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model, self.attacker = model, Attacker(model)

    def forward(self, images, labels):
        return self.model(self.attacker(images, labels))

def restore(model):
    return Attacked(model), None

# file: robust.py
from attacks import restore

def evaluate(model, loader):
    attacked, _ = restore(model)
    attacked.eval()
    return [attacked(images, labels).argmax(1).tolist() for images, labels in loader]

# run: evaluate(model, loader)
```

### frozen by a helper that is told to, and wrapped
```python
import torch
from torch import nn

def set_gradients(module, wanted):
    for parameter in module.parameters():
        parameter.requires_grad = wanted

class Extractor(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, images):
        return {"logits": self.inner(images)}

def predict(model, loader):
    set_gradients(model, wanted=False)
    extractor = Extractor(model)
    extractor.eval()
    found = [extractor(images)["logits"].argmax(1).tolist() for images, _ in loader]
    set_gradients(model, True)
    return found

# run: predict(model, loader)
```

### what the tests of a package share, shipped with it
```python
# file: shapes/checks/base_test_case.py
import torch

class ShapesTestCase:
    def _test_sizes(self):
        module = self.create_module()
        module.eval()
        self.assertAllClose(module(torch.ones(4, 8)).argmax(1), torch.zeros(4))
```

### an objective that a search walks down
```python
import torch

class LineSearch:
    def __init__(self, model, start, direction):
        self.model, self.start, self.direction = model, start, direction

    def objective(self, step):
        return self.model(self.start + step * self.direction).norm()

    def search(self, step):
        value = self.objective(step)
        while step > 1e-3:
            step = step - 0.1 * value
            value = self.objective(step)
        return step, value
```

### a guard around whichever of two was made
```python
# file: trainers.py
import torch
from torch import nn

class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.generator = nn.Linear(8, 3)

    def sample(self, images):
        self.eval()
        return torch.stack([self.generator(image) for image in images])

class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.generator = nn.Linear(8, 3)

    def sample(self, images):
        self.eval()
        return torch.stack([2 * self.generator(image) for image in images])

# file: train.py
import torch
from trainers import Plain, Twice

def main(images, twice):
    if twice:
        trainer = Twice()
    else:
        trainer = Plain()
    with torch.no_grad():
        return trainer.sample(images).tolist()

# run: main(images, True)
```

### a trainer of another library, which trains and predicts
```python
from transformers import Seq2SeqTrainer

class Trainer(Seq2SeqTrainer):
    def label(self, name):
        return name.upper()

def predict(model, settings, dataset):
    trainer = Trainer(model=model, args=settings)
    trainer.train(resume_from_checkpoint=None)
    found = trainer.predict(dataset)
    print(trainer.label("metrics"), found.metrics)
```

### a framework that hands its own hook on
```python
import torch
from typing import Optional
from pytorch_lightning import LightningModule

class Model(LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(8, 3)

class Strategy:
    def __init__(self, model: Optional[Model] = None):
        self.model = model

    def predict_step(self, *arguments):
        assert self.model is not None
        return self.model.predict_step(*arguments)
```

### in another mode on one way only, and a dict of what is called like functions
```python
from torch import nn

class Embedder(nn.Module):
    def __init__(self, changes):
        super().__init__()
        self.net, self.changes = nn.Linear(8, 3), changes

    def features(self, images):
        if self.training:
            images = images + 1
        for each in self.changes.values():
            each.prepare()
        changed = [change(images) for change in self.changes.values()]
        return self.net(sum(changed, images))
```

### a step that is handed on by its name
```python
import torch

class Redirection:
    def __call__(self, wrapper: torch.nn.Module, method, *arguments):
        wrapper.method = method
        return wrapper(*arguments)

class Strategy:
    def __init__(self, model):
        self.redirect = Redirection()
        self.model, self.wrapped = model, Redirection()

    def predict_step(self, *arguments):
        if self.model is not self.wrapped:
            return self.redirect(self.model, "predict_step", *arguments)
        return self.wrapped.predict_step(*arguments)
```

### a mixin's step, which a framework's hook calls through the task that has it
```python
from typing import Optional
from pytorch_lightning import LightningModule

class Task:
    def validation_step(self, batch, index):
        return self.model.score(batch)

class Embedding:
    def validation_step(self, batch, index):
        return self.model(batch["images"]).detach().cpu().numpy()

class Verification(Embedding, Task):
    def __init__(self, model):
        self.model = model

class Model(LightningModule):
    def __init__(self, task: Optional[Task] = None):
        super().__init__()
        self.task = task

    def validation_step(self, batch, index):
        return self.task.validation_step(batch, index)
```

### drawn from a distribution whose log-probability is trained on
```python
from torch.distributions import Normal

class Agent:
    def __init__(self, model):
        self.model, self.log_probs = model, []

    def act(self, state):
        chances = Normal(self.model(state), 1.0)
        action = chances.sample()
        self.log_probs.append(chances.log_prob(action).sum())
        return action.tolist()

    def learn(self, rewards):
        sum(-log_prob * reward for log_prob, reward in zip(self.log_probs, rewards)).backward()
        self.log_probs = []

# run: agent = Agent(model); agent.act(torch.ones(2, 8)); agent.learn([1.0])
# shows: model[0].weight.grad is not None
```

### a sampler that is handed over, or made anew, and has nothing to train
```python
import torch
from torch import nn
from sampling import make_sampler

class Sampler(nn.Module):
    def forward(self, posterior):
        return posterior + torch.randn(3)

def prune(points, model, sampler: Sampler | None = None):
    with torch.no_grad():
        posterior = model(points)
    if sampler is None:
        sampler = make_sampler(posterior)
    best = sampler(posterior).argmax(-1)
    return points[best]
```

### a layer after the other, in a helper of a forward
```python
# file: encoding.py
def encode_video(tower, frames, memory):
    hidden = tower.embed(frames)
    for layer in tower.layers:
        hidden = hidden + layer.attention(hidden, memory)
        hidden = hidden + layer.mlp(hidden)
    return tower.norm(hidden)

def extract_stages(stages, images):
    for index in range(len(stages)):
        images = stages[index](images)
    return images

# file: model.py
from torch import nn
from encoding import encode_video, extract_stages

class Policy(nn.Module):
    def __init__(self, tower, stages):
        super().__init__()
        self.tower, self.stages = tower, stages

    def forward(self, frames, memory):
        return encode_video(self.tower, extract_stages(self.stages, frames), memory)
```

### one of many classes, which guard the method but for a dummy, and a test's double
```python
# file: tests/doubles.py
from torch import nn

class Double(nn.Module):
    def select_action(self, batch):
        return self.layer(batch)

# file: act.py
import torch
from torch import nn
from policies import make_policy

class Policy(nn.Module):
    def select_action(self, batch):
        '''One action, to be taken.'''
        raise NotImplementedError

class Policy0(nn.Module):
    @torch.no_grad()
    def select_action(self, batch):
        return self.layer(batch)

class Policy1(nn.Module):
    @torch.no_grad()
    def select_action(self, batch):
        return self.layer(batch)

class Policy2(nn.Module):
    @torch.no_grad()
    def select_action(self, batch):
        return self.layer(batch)

class Policy3(nn.Module):
    @torch.no_grad()
    def select_action(self, batch):
        return self.layer(batch)

class Policy4(nn.Module):
    @torch.no_grad()
    def select_action(self, batch):
        return self.layer(batch)

class Policy5(nn.Module):
    @torch.no_grad()
    def select_action(self, batch):
        return self.layer(batch)

class Policy6(nn.Module):
    @torch.no_grad()
    def select_action(self, batch):
        return self.layer(batch)

class Policy7(nn.Module):
    @torch.no_grad()
    def select_action(self, batch):
        return self.layer(batch)

class Policy8(nn.Module):
    @torch.no_grad()
    def select_action(self, batch):
        return self.layer(batch)

class Policy9(nn.Module):
    @torch.no_grad()
    def select_action(self, batch):
        return self.layer(batch)

class Policy10(nn.Module):
    @torch.no_grad()
    def select_action(self, batch):
        return self.layer(batch)

class Policy11(nn.Module):
    @torch.no_grad()
    def select_action(self, batch):
        return self.layer(batch)

class Policy12(nn.Module):
    def select_action(self, batch):
        with torch.no_grad():
            return self.layer(batch)

class Dummy(nn.Module):
    def select_action(self, batch):
        return self.layer(batch)

def act_with_policy(environment, settings):
    policy = make_policy(settings)
    policy = policy.to("cpu").eval()
    state = environment.reset()
    for _ in range(10):
        action = policy.select_action(state)
        state = environment.step(action)
```

### a smoke test under another name
```python
import torch
from torch import nn

def testNet():
    model = nn.Sequential(nn.Linear(8, 3), nn.ReLU())
    output = model(torch.rand(1, 8))
    print("done", output.shape)

# run: testNet()
```

### a copy of averaged weights that comes out of a pickle with its flags
```python
import pickle
import torch

def generate_images(path, latents):
    with open(path, "rb") as file:
        net = pickle.load(file)["ema"].to("cpu")
    for step in range(10):
        latents = latents - 0.1 * net(latents, step)
    return (latents * 127.5 + 128).clip(0, 255).to(torch.uint8)
```

### modules that hold filters of another library, or losses under the names of their classes
```python
import pywt
import torch
from torch import nn

class Inverse(nn.Module):
    def __init__(self, name):
        super().__init__()
        wavelet = pywt.Wavelet(name)
        self.low, self.high = wavelet.rec_lo, wavelet.rec_hi

    def forward(self, image):
        return image * self.low[0] + image * self.high[0]

class Bins(nn.Module):
    def __init__(self):
        super().__init__()
        self.MSELoss = nn.MSELoss()
        self.register_buffer("bins", torch.linspace(0, 1, 10))

    def forward(self, scores):
        return self.bins[scores.argmax(-1)]

    def loss(self, scores, wanted):
        return self.MSELoss(self(scores), wanted)

def generate(noise):
    inverse, bins = Inverse("haar"), Bins()
    inverse.eval()
    return inverse(noise).argmax(1).tolist(), bins(noise).tolist()
```

### the transforms that belong to weights
```python
import torch
import torchvision

def create_model():
    weights = torchvision.models.EfficientNet_B2_Weights.DEFAULT
    transforms = weights.transforms()
    model = torchvision.models.efficientnet_b2(weights=weights)
    return model, transforms

model, transforms = create_model()

def predict(image):
    image = transforms(image).unsqueeze(0)
    model.eval()
    with torch.inference_mode():
        scores = model(image).softmax(1)
    return [float(score) for score in scores[0]]
```

### defined again in the next cell, and guarded by every caller
```python
import torch

def accuracy(model, batches):
    return sum((model(images).argmax(1) == labels).sum().item() for images, labels in batches)

with torch.no_grad():
    print(accuracy(torch.nn.Linear(2, 2), []))

def accuracy(model, batches):
    right = 0
    for images, labels in batches:
        right += (model(images).argmax(1) == labels).sum().item()
    return right

with torch.no_grad():
    print(accuracy(torch.nn.Linear(2, 2), []))
```

### made of a network that is frozen, of several by name
```python
import torch
from torch import nn

class Features(nn.Module):
    def __init__(self, requires_grad=False):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        if not requires_grad:
            for parameter in self.parameters():
                parameter.requires_grad = False

    def forward(self, x):
        return self.layer(x)

class Others(nn.Module):
    def __init__(self, requires_grad=False):
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, x):
        return self.layer(x)

class Distance(nn.Module):
    def __init__(self, kind="first"):
        super().__init__()
        self.kind = kind
        if self.kind in ["first", "one"]:
            self.net = Features(requires_grad=False)
        elif self.kind == "other":
            self.net = Others(requires_grad=False)

    def forward(self, one, other):
        return (self.net(one) - self.net(other)).square().mean()

def evaluate(pairs):
    distance = Distance()
    distance.eval()
    return [distance(one, other).item() for one, other in pairs]
```

### a forward that hands over to a sampler with a guard of its own
```python
import torch
from torch import nn

class Wave(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(2, 2)

    def sample(self, start, every=False):
        with torch.no_grad():
            states = [start]
            for _ in range(3):
                states.append(self.net(states[-1]))
            return states if every else states[-1]

    def loss(self, clean, noise):
        return (self.net(clean + noise) - noise).abs().mean()

    def forward(self, start, every=False):
        return self.sample(start, every)

def evaluate(model, starts):
    model.eval()
    return [model(start).mean().item() for start in starts]

def benchmark(model, starts):
    model.eval()
    return [model.forward(start).mean().item() for start in starts]

wave = Wave().cpu()
print(evaluate(wave, [torch.randn(2)]), benchmark(wave, [torch.randn(2)]))
wave.eval()
print(wave.forward(torch.randn(2)).argmax().item())
```

### an attack is a module whose forward goes backward
```python
import torch
from torch import nn

class Attack(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def search(self, images, labels):
        change = torch.zeros_like(images, requires_grad=True)
        nn.functional.cross_entropy(self.model(images + change), labels).backward()
        return (images + change.grad.sign()).detach()

    def forward(self, images, labels):
        return self.search(images, labels)

net = nn.Linear(8, 3)
net.eval()
attack = Attack(net)
print(attack(torch.randn(4, 8), torch.zeros(4).long()).tolist())
```

### a model that hooks a gradient in its forward cannot run without a graph
```python
import torch
from torch import nn

class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.query = nn.Linear(2, 2)

    def keep(self, gradient):
        self.gradient = gradient

    def forward(self, x):
        weights = self.query(x).softmax(-1)
        weights.register_hook(self.keep)
        return weights @ x

class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([Attention() for _ in range(2)])

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return x

def evaluate(inputs):
    model = Transformer()
    model.eval()
    return [model(x).argmax().item() for x in inputs]

print(evaluate([torch.randn(2, 2)]))
```

### whoever is handed over chooses actions under a guard
```python
# file: play.py
def play(env, policy, steps):
    observation = env.reset()
    actions = []
    for _ in range(steps):
        action = policy.get_action(observation)
        observation = env.step(action)
        actions.append(action)
    return actions

# file: loaded.py
import torch
from torch import nn

class Loaded(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(2, 2)

    def forward(self, observation):
        return self.net(observation)

    def get_action(self, observation):
        return self(torch.as_tensor(observation))

# file: main.py
import torch
from torch import nn
from play import play

class Agent(nn.Module):
    def __init__(self):
        super().__init__()
        self.actor = nn.Linear(2, 2)

    def get_action(self, observation):
        with torch.no_grad():
            return self.actor(torch.as_tensor(observation)).numpy()

class Env:
    def reset(self):
        return [0.0, 0.0]

    def step(self, action):
        return [0.0, 0.0]

print(play(Env(), Agent(), 2))
```

### its constructor has switched recording off
```python
# file: base.py
class Base:
    def answers(self, loader):
        return [self.call(x).tolist() for x in loader]

    def call(self, x):
        raise NotImplementedError

# file: model.py
import torch
from base import Base
from torch import nn

class Model(Base):
    def __init__(self):
        self.net = nn.Linear(2, 2)
        self.net.eval()
        torch.set_grad_enabled(False)

    def call(self, x):
        return self.net(x).argmax(-1)

# file: main.py
import torch
from model import Model

def evaluate(model, loader):
    return model.answers(loader)

print(evaluate(Model(), [torch.randn(2)]))
```

### a test that is handed what it needs, and asserts something
```python
# file: test_model.py
def test_scores(model, images):
    scores = model(images).argmax(1)
    assert scores.sum().item() >= 0
```

### a helper that runs the model under a guard, unless a flag says otherwise
```python
import torch

class Clip:
    def __init__(self, model):
        self.model = model

    def text_features(self, texts, train=False):
        if train:
            features = self.model.encode_text(texts)
        else:
            with torch.no_grad():
                features = self.model.encode_text(texts)
        return features

    def evaluate(self, loader, texts):
        features = self.text_features(texts)
        hits = 0
        for images, labels in loader:
            hits += (images @ features.T).argmax(1).eq(labels).sum().item()
        return hits
```

### what an agent out of sight gives is what numpy takes
```python
import numpy as np
import torch

def train(agent, optimizer, batches, environment):
    for states, targets in batches:
        loss = (agent(states) - targets).square().mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(agent.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        values = agent.get_qvalues([environment.reset()])
        print(np.max(values))
```

### a transformer of data, which is a function
```python
# file: audio.py
import torch
from torch.utils.data import Dataset

class Clips(Dataset):
    def __init__(self, clips, transformer=None):
        self.clips, self.transformer = clips, transformer

    def __getitem__(self, index):
        clip = self.clips[index]
        if self.transformer:
            clip = self.transformer(clip)
        return torch.FloatTensor(clip)

# file: main.py
from audio import Clips

# run: clip = Clips([[1, -2]], lambda clip: [abs(each) for each in clip])[0]
# shows: clip.tolist() == [1.0, 2.0]
```

### a method called as everybody's are, on what is handed over, under a guard
```python
import torch
from torch import nn

class Stylist(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(8, 4), nn.Linear(4, 8)

    def transform(self, image):
        code = self.encoder(image).data
        return self.decoder(code)

def stylized(stylist, image):
    with torch.no_grad():
        return stylist.transform(image).numpy()

# run: array = stylized(Stylist(), torch.ones(2, 8))
# shows: array.shape == (2, 8)
```

### what makes a policy for a space
```python
from torch import nn

class Space:
    shape = (8,)

class Env:
    observation_space = Space()

def policy_for(space):
    return nn.Linear(space.shape[0], 2)

def run(policy_fn, env):
    policy = policy_fn(env.observation_space)
    print(policy)

# run: run(policy_for, Env())
```

### a function of models, imported with whatever there is
```python
# file: main.py
import torch
from rounding import *

def test(model, images):
    model.eval()
    with torch.no_grad():
        labels = model(images).argmax(1)
    rounded = round_model(model, images)
    print(rounded.weight.lt(0).sum().item(), labels)
```

### a loss without parameters, by its old name
```python
import torch
from torch import nn

for _ in range(2):
    scores, labels = torch.rand(2, 3, 4, 4), torch.randint(3, (2, 4, 4))
    loss = nn.NLLLoss2d()(scores.log(), labels)
    print(loss.item())
```

### a text that becomes numbers of words
```python
import torch
from fairseq.models.roberta import RobertaModel

SAMPLE = "Hello world!"

def convert(path, model):
    roberta = RobertaModel.from_pretrained(path)
    roberta.eval()
    words = roberta.encode(SAMPLE).unsqueeze(0)
    with torch.no_grad():
        ours = model(words)[0]
        theirs = roberta.extract_features(words)[0]
    print(torch.allclose(ours, theirs))
```

### forwards for a hook, which keeps what is trained on
```python
import torch

class Visualised:
    def __init__(self, model):
        self.model = model
        self.model.eval()
        self.output = None

    def keep(self, module, given, output):
        self.output = output[0, 0]

    def visualise_layer(self, image, selected=0):
        hook = self.model[selected].register_forward_hook(self.keep)
        optimizer = torch.optim.Adam([image], lr=0.1)
        for _ in range(2):
            optimizer.zero_grad()
            out = image
            for index, layer in enumerate(self.model):
                out = layer(out)
                if index == selected:
                    break
            loss = -self.output.mean()
            loss.backward()
            optimizer.step()
        hook.remove()

# run: image = torch.ones(2, 8, requires_grad=True)
# run: Visualised(torch.nn.Sequential(torch.nn.Linear(8, 8))).visualise_layer(image)
# shows: image.grad is not None
```

### a model that hooks a gradient, loaded by a method of a library
```python setup
# file: hub.py
from torch import nn

class PreTrainedModel(nn.Module):
    @classmethod
    def from_pretrained(cls, path):
        return cls()
```
```python
import torch
from hub import PreTrainedModel
from torch import nn

class Explained(PreTrainedModel):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def keep(self, gradient):
        self.gradient = gradient

    def forward(self, x):
        hidden = self.layer(x)
        hidden.register_hook(self.keep)
        return hidden.relu()

model = Explained.from_pretrained("path")
model.eval()
print(model(torch.randn(1, 2)).argmax().item())
```

### the trainer of a library guards what it predicts
```python setup
# file: transformers.py
class Predicted:
    metrics = {"accuracy": 1.0}

class Seq2SeqTrainer:
    def __init__(self, model):
        self.model = model

    def train(self):
        pass

    def predict(self, dataset):
        return Predicted()
```
```python
import torch
from transformers import Seq2SeqTrainer

def train(model, dataset):
    trainer = Seq2SeqTrainer(model=model)
    trainer.train()
    result = trainer.predict(dataset)
    print(result.metrics)

train(torch.nn.Linear(2, 2), [])
```

### metrics and operators that could be given a module, and are not
```python
import torch
from torch import nn

class Metric(nn.Module):
    def __init__(self, metric=None, reduction=None):
        super().__init__()
        self._metric = metric
        self.reduction = reduction

    def forward(self, x, y):
        value = self._metric(x, y) if self._metric is not None else self.metric(x, y)
        return self.reduction(value) if self.reduction is not None else value

    def __add__(self, other):
        return Metric(metric=lambda x, y: self(x, y) + other(x, y))

class PSNR(Metric):
    def __init__(self, peak=1.0, **kwargs):
        super().__init__(**kwargs)
        self.peak = peak

    def metric(self, x, y):
        return 20 * torch.log10(self.peak / (x - y).square().mean().sqrt())

class Noise(nn.Module):
    def __init__(self, noise=None, rng=None):
        super().__init__()
        self.noise = noise
        self.rng = rng

    def seed(self, number):
        return self.rng.manual_seed(number)

    def forward(self, x):
        return self.noise(x)

class GaussianNoise(Noise):
    def __init__(self, sigma=0.1, rng=None):
        super().__init__(rng=rng)
        self.sigma = sigma

    def forward(self, x):
        return x + self.sigma * torch.randn_like(x)

class Physics(nn.Module):
    def __init__(self, A=lambda x: x, noise_model=GaussianNoise()):
        super().__init__()
        self.map = A
        self.noise_model = noise_model

    def forward(self, x):
        return self.noise_model(self.map(x))

class Mask(Physics):
    def __init__(self, mask, **kwargs):
        super().__init__(A=lambda x: x * mask, **kwargs)

def evaluate(images):
    psnr, physics = PSNR(), Mask(torch.ones(2), noise_model=GaussianNoise(0.2))
    scores = []
    for x in images:
        y = physics(x)
        scores.append(psnr(y, x).item())
    return scores

print(evaluate([torch.rand(2, 2)]))
```

### its module switches recording off when it is imported
```python
# file: serving.py
import torch
from torch import nn

torch.set_grad_enabled(False)  # GL311

class Sampler:
    def __init__(self):
        self.net = nn.Linear(2, 2)
        self.net.eval()

    def sample(self, start):
        return self.net(start).argmax().item()

# file: main.py
import torch
from serving import Sampler

def generate(sampler):
    return [sampler.sample(torch.randn(2)) for _ in range(2)]

print(generate(Sampler()))
```

### a loss of parameters that its constructor freezes
```python
import torch
from torch import nn

class Hinge(nn.Module):
    def __init__(self):
        super().__init__()
        self.margin = nn.Parameter(torch.ones(1))
        self.margin.requires_grad = False

    def forward(self, positive, negative):
        return torch.max(negative - positive, -self.margin).mean()

    def predict(self, positive, negative):
        score = self.forward(positive, negative)
        return score.cpu().data.numpy()

def score_pairs(positive, negative):
    return Hinge().predict(positive, negative)

# run: score_pairs(torch.ones(3), torch.zeros(3))
```

### what a detector of OpenMMLab asks its head for, in a test
```python
from mmdet3d.models.detectors.mvx_two_stage import MVXTwoStageDetector
from torch import nn

class RelationHead(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 3)

    def forward(self, features):
        return self.layer(features)

    def get_relationship(self, features):
        return [each for each in self.forward(features).sigmoid()]

class Detector(MVXTwoStageDetector):
    def __init__(self):
        super().__init__()
        self.relation_head = RelationHead()

    def simple_test_pts(self, features):
        found = self.relation_head.get_relationship(features)
        return [each.detach().cpu().numpy() for each in found]
```

### a method of a framework that only wraps a model
```python
import torch
from transformers import Trainer

class RelationTrainer(Trainer):
    def prediction_loop(self, loader):
        model = self._wrap_model(self.model, training=False)
        model.eval()
        logits = None
        for inputs in loader:
            loss, outputs, labels = self.prediction_step(model, inputs, prediction_loss_only=False)
            logits = outputs if logits is None else torch.cat((logits, outputs))
        return logits.argmax(1).tolist()
```

### a kernel of another compiler, in a module
```python
import tilelang
import torch
from torch import nn

class Sparse(nn.Module):
    def __init__(self, program):
        super().__init__()
        self.kernel = tilelang.compile(program, target="cuda")

    def forward(self, query, key):
        return self.kernel(query, key)

def compare(program, query, key):
    sparse = Sparse(program)
    found = sparse(query, key)
    print((query @ key - found).abs().max().item())
```

### a mode by name, in which the model guards itself
```python
import torch
from torch import nn

class Painter(nn.Module):
    def __init__(self):
        super().__init__()
        self.generator = nn.Linear(8, 3)

    def forward(self, data, mode):
        if mode == "generator":
            return self.generator(data).square().mean()
        elif mode == "inference":
            with torch.no_grad():
                return self.generator(data)

def test(batches):
    model = Painter()
    model.eval()
    for batch in batches:
        generated = model(batch, mode="inference")
        print(generated.argmax(1).tolist())

# run: test([torch.ones(2, 8)])
```

### what a registry makes of a configuration, and what a buffer stored
```python
from torch import nn

class Normalise(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Linear(2, 2)

    def forward(self, batch):
        return self.scale(batch)

class ReplayBuffer:
    def __init__(self, storage):
        self.storage, self.transform = storage, Normalise()

    def sample(self, size):
        return self.transform(self.storage[:size])

class Registry:
    _models: dict[str, type] = {}

    @classmethod
    def get_model(cls, arch, model_config):
        return Registry._models[arch](**model_config)

def inspect_buffer(storage, arch, model_config):
    print(Registry.get_model(arch, model_config))
    buffer = ReplayBuffer(storage)
    counts = buffer.sample(4).unique()
    print(f"{counts.tolist()}")
```

### a curve that is called like a generator, of numbers
```python
import torch

def gen_path(pos_gen, frames=4):
    positions = []
    for frame in range(frames):
        position = torch.tensor(pos_gen(frame * 360.0 / frames))
        positions.append(position.tolist())
    return positions

# run: gen_path(lambda angle: [angle, 0.0])
```

### what the cases of a test share, in a helper and in a function of their own
```python
# file: tests/test_acquisition.py
import torch
from library.testing import LibraryTestCase
from library import make_model

class TestAcquisition(LibraryTestCase):
    def _base_test(self, inputs):
        model = make_model()
        model.eval()

        def check(values):
            self.assertEqual(model(values).argmax(1).tolist(), [0, 1])

        check(inputs)
        self.assertTrue(model(inputs).isfinite().all().item())
```
"""
