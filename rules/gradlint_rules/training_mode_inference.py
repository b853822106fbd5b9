"""A model is evaluated under `no_grad`, and is still in training mode.

## Flagged

```python
import torch
from torch import nn

class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(8, 64), nn.Dropout(0.5), nn.Linear(64, 3))

    def forward(self, images):
        return self.layers(images)

def predict(path, images):
    model = Classifier()
    model.load_state_dict(torch.load(path))
    with torch.no_grad():
        return model(images).argmax(1)  # GL601

# run: torch.save(Classifier().state_dict(), "model.pt")
# run: first, second = predict("model.pt", images), predict("model.pt", images)
# shows: not first.equal(second)
```

## Instead

```python
import torch
from torch import nn

class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(8, 64), nn.Dropout(0.5), nn.Linear(64, 3))

    def forward(self, images):
        return self.layers(images)

def predict(path, images):
    model = Classifier()
    model.load_state_dict(torch.load(path))
    model.eval()
    with torch.no_grad():
        return model(images).argmax(1)

# run: torch.save(Classifier().state_dict(), "model.pt")
# run: first, second = predict("model.pt", images), predict("model.pt", images)
# shows: first.equal(second)
```

## Why

`no_grad()` switches recording off and nothing else. Every module starts in training mode, and
`load_state_dict` does not change that. In training mode dropout goes on dropping, so that two passes
over the same images differ, and batch norm uses the statistics of the batch it is given and updates
its running statistics with it: evaluation changes the model. With a batch of one it raises
`ValueError: Expected more than 1 value per channel when training`.

A warning needs a model that is known to have such layers, and one of these: in the same function it
is made and loaded (or by who hands it over), put into training mode, or trained before it is run on
other data; another model is put into evaluation mode there and this one is not; or a function that
measures is handed a model, or finds it in its object or file, that is trained around it while nobody
ever calls `eval()`. For a model whose layers are not known this is advice, off by default: without
dropout and batch norm the mode makes no difference.
"""

from collections.abc import Iterator

from gradlint.rule import Finding, Note, Project, rule

_WHY = {
    "made": "this model was made here and never put into evaluation mode",
    "set": "this model is in training mode here",
    "trained": "this model is trained in the same function and not put into evaluation mode",
    "loaded": "this model was made and loaded, and never put into evaluation mode",
    "handed": "this model was made and loaded by who hands it over, and never put into evaluation mode",
    "used": "this model was trained by who hands it over, and never put into evaluation mode",
    "object": "this model is trained by other methods, and nothing puts it into evaluation mode",
    "file": "this model is trained in this file, and nothing puts it into evaluation mode",
    "beside": "this model is not in evaluation mode, and another one is",
}
_THERE = {
    "trained": "it is trained here",
    "set": "put into training mode here",
    "loaded": "it is made here",
    "handed": "it is handed over here",
    "used": "it is handed over here",
    "object": "it is made here",
    "file": "it is made here",
    "beside": "the other one is put into evaluation mode here",
}


@rule("GL601", severity="warning", since="0.1.0")
def training_mode_inference(project: Project) -> Iterator[Finding]:
    """Find evaluation under a guard of modules that nobody has put into evaluation mode."""
    for function in project.functions():
        for found in project.training_mode.of(function):
            yield Finding(
                function.place(found.event.at),
                function.name,
                _WHY[found.why],
                notes=(Note(found.place, _THERE[found.why]),) if found.place is not None else (),
                help="call `.eval()` on it first",
                severity=None if found.known else "advice",
            )


CASES = r"""
```python setup
# file: torchvision/__init__.py
# file: torchvision/models.py
from torch import nn

def resnet18(weights):
    return nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))
# file: example.py
import torch
from torch import nn

images = torch.randn(64, 8)
loader = [images[:32], images[32:]]
```

## Flagged

### of a library, with its weights
```python
import torch
from torchvision import models

def serve(images):
    network = models.resnet18(weights="DEFAULT")
    with torch.no_grad():
        return network(images).argmax(1).tolist(), network.training  # GL601

# run: found = serve(images)
# shows: found[1]
```

### batch norm learns from what is evaluated
```python
import torch
from torch import nn

class Normalized(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(8)

    def forward(self, images):
        return self.norm(images)

def run(model, train_loader, test_loader):
    model = Normalized()
    model.train()
    with torch.no_grad():
        for images in test_loader:
            scores = model(images)  # GL601
            print(scores.argmax(1))
    return model.norm.num_batches_tracked.item()

# run: seen = run(None, loader, loader)
# shows: seen == 2
```

### trained and validated in one function
```python
import torch
from torch import nn

class Normalized(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(8)

    def forward(self, images):
        return self.norm(images)

def fit(train_loader, val_loader):
    model = Normalized()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for images in train_loader:
        optimizer.zero_grad()
        model(images).square().mean().backward()
        optimizer.step()
    total = 0.0
    with torch.no_grad():
        for images in val_loader:
            total += model(images).mean().item()  # GL601
    return model.norm.num_batches_tracked.item()

# run: seen = fit(loader, loader)
# shows: seen == 4
```

### kept by an object that is not asked to switch it
```python
import torch
from torch import nn

class Explainer:
    def __init__(self, model):
        self.model = model

    def explain(self, images):
        self.model.eval()
        return self.model(images)

def explained(path, images):
    model = nn.Sequential(nn.Linear(8, 64), nn.Dropout(0.5), nn.Linear(64, 3))
    model.load_state_dict(torch.load(path))
    explainer = Explainer(model)
    with torch.no_grad():
        return explainer, model(images)  # GL601

# run: net = nn.Sequential(nn.Linear(8, 64), nn.Dropout(0.5), nn.Linear(64, 3))
# run: torch.save(net.state_dict(), "net.pt")
# run: (_, first), (_, second) = explained("net.pt", images), explained("net.pt", images)
# shows: not first.equal(second)
```

### trained and measured by one script
```python
import torch
from torch import nn

model = nn.Sequential(nn.Linear(8, 64), nn.Dropout(0.5), nn.Linear(64, 3))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
found = []
for epoch in range(2):
    for batch in torch.randn(3, 4, 8):
        optimizer.zero_grad()
        model(batch).square().mean().backward()
        optimizer.step()
    with torch.no_grad():
        found.append((model(images).argmax(1), model[2].bias.sum()))  # GL601

# shows: model.training
# run: first, second = model(images), model(images)
# shows: not first.equal(second)
```

### one of two
```python
import torch
from torch import nn

class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(8, 8)
        self.dropout = nn.Dropout(0.5)

    def forward(self, images):
        return self.dropout(self.linear(images))

class Evaluator:
    def __init__(self, head):
        self.encoder = Encoder()
        self.head = head

    @torch.no_grad()
    def scores(self, images):
        self.head.eval()
        return self.head(self.encoder(images)).tolist()  # GL601

# run: evaluator = Evaluator(nn.Linear(8, 3))
# run: first, second = evaluator.scores(images), evaluator.scores(images)
# shows: first != second
```

### layers that are not known
```python
import torch
from torch import nn
from parts import Layer

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = Layer(8, 3)

    def forward(self, images):
        return self.layer(images)

def predict(path, images):
    model = Net()
    model.load_state_dict(torch.load(path))
    with torch.no_grad():
        return model(images).argmax(1)  # GL601

# run: torch.save(Net().state_dict(), "net.pt")
# run: labels = predict("net.pt", images)
# shows: labels.shape == (64,)
```

```python setup
# file: parts.py
from torch import nn

class Layer(nn.Linear):
    pass
# file: example.py
```

### by a caller that trains
```python
import torch
from torch import nn

class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(8, 8), nn.Dropout(), nn.Linear(8, 3))

    def forward(self, images):
        return self.layers(images)

@torch.no_grad()
def evaluate(model, loader):
    return [model(images).argmax(1) for images in loader]  # GL601

def train(loader):
    model = Classifier()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        model.train()
        for images in loader:
            optimizer.zero_grad()
            model(images).sum().backward()
            optimizer.step()
        evaluate(model, loader)
    return model

# run: model = train(loader)
# shows: model.training
```

### put into evaluation mode too late
```python
import torch
from torch import nn

def val_loss(model, loader):
    with torch.no_grad():
        return sum(model(images).square().mean().item() for images in loader)  # GL601

def train(loader):
    model = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        model.train()
        for images in loader:
            optimizer.zero_grad()
            model(images).square().mean().backward()
            optimizer.step()
        val_loss(model, loader)
    model.eval()
    return model

# run: model = train(loader)
# shows: model[1].num_batches_tracked.item() == 8
```

### two modules, switched by hand, of which one is forgotten
```python
import torch

class Trainer:
    def __init__(self, encoder, decoder):
        self.encoder, self.decoder = encoder, decoder

    def fit(self, loader, optimizer):
        self.encoder.train()
        self.decoder.train()
        for images in loader:
            optimizer.zero_grad()
            self.decoder(self.encoder(images)).sum().backward()
            optimizer.step()

    @torch.no_grad()
    def validate(self, loader):
        self.encoder.eval()
        for images in loader:
            print(self.decoder(self.encoder(images)).argmax(1))  # GL601

# run: trainer = Trainer(nn.Linear(8, 8), nn.Dropout())
# run: trainer.validate(loader)
# shows: trainer.decoder.training
```

### made and loaded by the constructor
```python
import torch
from torch import nn

class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(8)

    def forward(self, images):
        return self.norm(images)

class Predictor:
    def __init__(self, state):
        self.model = Classifier()
        self.model.load_state_dict(state)

    @torch.no_grad()
    def predict(self, images):
        return self.model(images).argmax(1)  # GL601

class Careful:
    def __init__(self, state):
        self.model = Classifier()
        self.model.load_state_dict(state)
        self.model.eval()

    @torch.no_grad()
    def predict(self, images):
        return self.model(images).argmax(1)

# run: predictor = Predictor(Classifier().state_dict()); predictor.predict(images)
# shows: predictor.model.training and predictor.model.norm.num_batches_tracked == 1
```

### made and loaded by who hands it over
```python
import torch
from torch import nn

class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(8)

    def forward(self, images):
        return self.norm(images)

def predict(net, images):
    with torch.no_grad():
        return net(images).argmax(1)  # GL601

def main(path, images):
    net = Classifier()
    net.load_state_dict(torch.load(path))
    predict(net, images)
    return net

# run: torch.save(Classifier().state_dict(), "handed.pt")
# run: net = main("handed.pt", images)
# shows: net.training and net.norm.num_batches_tracked == 1
```

### trained by another method, and never switched
```python
import torch
from torch import nn

class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.out = nn.BatchNorm1d(8), nn.Linear(8, 3)

    def forward(self, images):
        return self.out(self.norm(images))

class Trainer:
    def __init__(self):
        self.net = Classifier()
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=0.1)

    def train_epoch(self, loader):
        self.net.train()
        for images in loader:
            self.optimizer.zero_grad()
            self.net(images).square().mean().backward()
            self.optimizer.step()

    @torch.no_grad()
    def validate(self, loader):
        return sum(self.net(images).square().mean().item() for images in loader)  # GL601

    def fit(self, train_loader, loader):
        for _ in range(2):
            self.train_epoch(train_loader)
            print(self.validate(loader))

# run: trainer = Trainer(); trainer.fit(loader, loader)
# shows: trainer.net.training and trainer.net.norm.num_batches_tracked == 8
```

### trained and handed over by one caller
```python
import torch
from torch import nn

class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.out = nn.BatchNorm1d(8), nn.Linear(8, 3)

    def forward(self, images):
        return self.out(self.norm(images))

def train(net, loader, optimizer):
    for images in loader:
        optimizer.zero_grad()
        net(images).square().mean().backward()
        optimizer.step()

def evaluate(net, loader):
    with torch.no_grad():
        for images in loader:
            print(net(images).argmax(1).sum().item())  # GL601

def main(loader, val_loader):
    net = Classifier()
    optimizer = torch.optim.SGD(net.parameters(), lr=float(eval("1e-1")))
    train(net, loader, optimizer)
    evaluate(net, val_loader)
    return net

# run: net = main(loader, loader)
# shows: net.training and net.norm.num_batches_tracked == 4
```

### a script's model
```python
import torch
from torch import nn

class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.out = nn.BatchNorm1d(8), nn.Linear(8, 3)

    def forward(self, images):
        return self.out(self.norm(images))

net = Classifier()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)

def train(loader):
    for images in loader:
        optimizer.zero_grad()
        net(images).square().mean().backward()
        optimizer.step()

@torch.no_grad()
def test(loader):
    return [net(images).argmax(1) for images in loader]  # GL601

def run(loader):
    train(loader)
    return test(loader)

# run: predictions = run(loader)
# shows: net.training and net.norm.num_batches_tracked == 4
```

### one of two that are handed over
```python
import torch
from torch import nn

class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(8, 8)

    def forward(self, images):
        return self.linear(images)

class Scores(nn.Module):
    def __init__(self):
        super().__init__()
        self.dropout, self.linear = nn.Dropout(0.5), nn.Linear(8, 1)

    def forward(self, first, second):
        return self.linear(self.dropout(first * second))

def train(encoder, predictor, loader, optimizer):
    encoder.train()
    predictor.train()
    for images in loader:
        optimizer.zero_grad()
        found = encoder(images)
        predictor(found, found).square().mean().backward()
        optimizer.step()

@torch.no_grad()
def test(encoder, predictor, images):
    encoder.eval()
    found = encoder(images)
    return predictor(found, found).squeeze()  # GL601

def main(loader, images):
    encoder, predictor = Encoder(), Scores()
    optimizer = torch.optim.SGD([*encoder.parameters(), *predictor.parameters()], lr=0.1)
    train(encoder, predictor, loader, optimizer)
    return test(encoder, predictor, images), test(encoder, predictor, images)

# run: first, second = main(loader, images)
# shows: not first.equal(second)
```

### a sequence of layers
```python
import torch
from torch import nn

def predict(path, images):
    net = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Dropout(0.5))
    net.load_state_dict(torch.load(path))
    with torch.no_grad():
        return net(images)  # GL601

# run: torch.save(nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Dropout(0.5)).state_dict(), "weights.pt")
# run: first, second = predict("weights.pt", images), predict("weights.pt", images)
# shows: first.ne(second).any()
```

## Silent

### a pretrained model in evaluation mode, and one that is not asked for its weights
```python
import torch
import torchvision

def serve(images):
    network = torchvision.models.resnet18(weights="DEFAULT").eval()
    with torch.no_grad():
        return network(images).argmax(1).tolist()

def shape(images):
    network = torchvision.models.resnet18(weights=None)
    with torch.no_grad():
        return network(images).shape
```

### layers for which the mode makes no difference
```python
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 3)

    def forward(self, images):
        return self.layer(images)

def predict(path, images):
    model = Net()
    model.load_state_dict(torch.load(path))
    with torch.no_grad():
        return model(images)

# run: torch.save(Net().state_dict(), "net.pt")
# run: first, second = predict("net.pt", images), predict("net.pt", images)
# shows: first.equal(second)
```

### put into evaluation mode, by whatever way
```python
import torch
from torch import nn

class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(8, 64), nn.Dropout(0.5), nn.Linear(64, 3))

    def forward(self, images):
        return self.layers(images)

def load(model, path):
    model.load_state_dict(torch.load(path))
    return model.eval()

def predict(path, images):
    first, second, third = Classifier(), Classifier().eval(), Classifier()
    first.load_state_dict(torch.load(path))
    first.train(False)
    third = load(third, path)
    with torch.no_grad():
        return first(images), second(images), third(images)

# run: torch.save(Classifier().state_dict(), "model.pt")
# run: first, _, third = predict("model.pt", images)
# shows: first.equal(third)
```

### told by an argument, as is training, and handed over
```python
import torch
from torch import nn

class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(8)

    def forward(self, images, evaluating=False):
        if evaluating:
            self.eval()
        return self.norm(images)

def predict(net, images):
    with torch.no_grad():
        return net(images, evaluating=True).argmax(1)

def main(path, images):
    net = Classifier()
    net.load_state_dict(torch.load(path))
    predict(net, images)
    return net

# run: torch.save(Classifier().state_dict(), "told.pt")
# run: net = main("told.pt", images)
# shows: not net.training and net.norm.num_batches_tracked == 0
```

### handed over in evaluation mode, or to what sees to that
```python
import torch
from torch import nn

class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(8)

    def forward(self, images):
        return self.norm(images)

def predict(net, images):
    with torch.no_grad():
        return net(images).argmax(1)

def first(path, images):
    net = Classifier()
    net.load_state_dict(torch.load(path))
    net.eval()
    predict(net, images)
    return net

def ready(module):
    for part in module.modules():
        part.eval()

def second(path, images):
    net = Classifier()
    net.load_state_dict(torch.load(path))
    ready(net)
    predict(net, images)
    return net

def third(path, images):
    net = Classifier()
    net.load_state_dict(torch.load(path))
    for module in [net]:
        module.eval()
    predict(net, images)
    return net

class TestPredict:
    def test_shape(self, path, images):
        net = Classifier()
        net.load_state_dict(torch.load(path))
        assert predict(net, images).shape == (64,)

# run: torch.save(Classifier().state_dict(), "handed.pt")
# run: nets = [run("handed.pt", images) for run in (first, second, third)]
# shows: all(net.norm.num_batches_tracked == 0 for net in nets)
```

### loaded by a library, which does it
```python
import torch
from transformers import AutoModel

def predict(name, path, inputs):
    model = AutoModel.from_pretrained(name)
    model.load_state_dict(torch.load(path))
    with torch.no_grad():
        return model(inputs)
```

### a module under two names
```python
import torch
from torch import nn

class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(8, 64), nn.Dropout(0.5), nn.Linear(64, 3))

    def forward(self, images):
        return self.layers(images)

class Evaluator:
    def __init__(self):
        self.network = Classifier()
        self.parallel = nn.DataParallel(self.network)

    @torch.no_grad()
    def scores(self, images):
        self.network.eval()
        return self.parallel(images)

# run: evaluator = Evaluator()
# run: first, second = evaluator.scores(images), evaluator.scores(images)
# shows: first.equal(second)
```

### training, with a target made on the way
```python
import torch
from torch import nn

class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(8, 64), nn.Dropout(0.5), nn.Linear(64, 3))

    def forward(self, images):
        return self.layers(images)

def train(model, teacher, loader, optimizer):
    model.train()
    for images in loader:
        with torch.no_grad():
            target = teacher(images)
        loss = (model(images) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

# run: model, teacher = Classifier(), Classifier()
# run: train(model, teacher, loader, torch.optim.SGD(model.parameters(), lr=0.1))
```

### trained by one script, which acts, draws and keeps the noise, or has no layers that make any
```python
import torch
from torch import nn

policy = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5), nn.Linear(8, 3))
generator = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Linear(8, 8))
plain = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
parameters = [*policy.parameters(), *generator.parameters(), *plain.parameters()]
optimizer = torch.optim.SGD(parameters, lr=0.1)
for batch in torch.randn(3, 4, 8):
    with torch.no_grad():
        action = policy(batch).argmax(1).tolist()
    optimizer.zero_grad()
    loss = policy(batch).square().mean() + generator(batch).square().mean() + plain(batch).square().mean()
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        print(generator(batch).abs().max())
        print(plain(batch).argmax(1))

# shows: plain(images).equal(plain(images))
```

### kept by a module that switches it, and a module that switches its parts
```python
import torch
from torch import nn

class Explainer(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model
        self.dropout = nn.Dropout(0.5)

    def explain(self, images):
        self.model.eval()
        return self.model(images)

    def forward(self, images):
        self.eval()
        return self.dropout(self.model(images))

def explained(path, images):
    model = nn.Sequential(nn.Linear(8, 64), nn.Dropout(0.5), nn.Linear(64, 3))
    model.load_state_dict(torch.load(path))
    explainer = Explainer(model)
    if len(images):
        explainer.explain(images)
    with torch.no_grad():
        return model(images), explainer(images)

# run: net = nn.Sequential(nn.Linear(8, 64), nn.Dropout(0.5), nn.Linear(64, 3))
# run: torch.save(net.state_dict(), "net.pt")
# run: first, second = explained("net.pt", images), explained("net.pt", images)
# shows: first[0].equal(second[0]) and first[1].equal(second[1])
```

### statistics and samples that need training mode
```python
import torch
from torch import nn

class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(8, 64), nn.Dropout(0.5), nn.BatchNorm1d(64), nn.Linear(64, 3))

    def forward(self, images):
        return self.layers(images)

@torch.no_grad()
def update_bn(model, test_loader):
    model.train()
    for images in test_loader:
        model(images)

@torch.no_grad()
def predict_mc_dropout(model, images, samples):
    model.train()
    return torch.stack([model(images) for _ in range(samples)]).std(0)

# run: model = Classifier()
# run: update_bn(model, loader)
# run: spread = predict_mc_dropout(model, images, 4)
# shows: spread.sum() > 0
```

### a detector, whose losses need training mode
```python
import torch

def validate(model, loader):
    model.train()
    total = 0.0
    with torch.no_grad():
        for images, targets in loader:
            total += sum(model(images, targets).values()).item()
    return total
```

### a caller that trains, and a function that evaluates by itself
```python
import torch

@torch.no_grad()
def evaluate(model, loader):
    model.eval()
    return [model(images).argmax(1) for images in loader]

def train(model, optimizer, loader):
    model.train()
    for images in loader:
        optimizer.zero_grad()
        model(images).sum().backward()
        optimizer.step()
    return evaluate(model, loader)
```

### put into evaluation mode in time, and further down
```python
import torch
from torch import nn

def val_loss(model, loader):
    with torch.no_grad():
        return sum(model(images).square().mean().item() for images in loader)

def train(model, optimizer, loader):
    for _ in range(2):
        model.train()
        for images in loader:
            optimizer.zero_grad()
            model(images).square().mean().backward()
            optimizer.step()
        model.eval()
        val_loss(model, loader)

def pretrain(model, optimizer, loader):
    net = nn.parallel.DataParallel(model)
    net.train()
    for _ in range(2):
        for images in loader:
            optimizer.zero_grad()
            net(images).square().mean().backward()
            optimizer.step()
        val_loss(net, loader)
        model.eval()

def test(loader):
    model = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))
    model.eval()
    print(val_loss(model, loader))
    return model.train()
```

### made by the constructor, switched by who uses it
```python
import torch
from torch import nn

class Predictor:
    def __init__(self, state):
        self.model = nn.Sequential(nn.BatchNorm1d(8))
        self.model.load_state_dict(state)

    @torch.no_grad()
    def predict(self, images):
        return self.model(images).argmax(1)

def main(state, images):
    predictor = Predictor(state)
    predictor.model.eval()
    return predictor.predict(images)
```

### trained by another method, and switched by who calls, or acting with the noise of training
```python
import torch
from torch import nn

class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.dropout, self.out = nn.Dropout(0.5), nn.Linear(8, 3)

    def forward(self, images):
        return self.out(self.dropout(images))

class Agent:
    def __init__(self):
        self.net = Policy()
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=0.1)

    def learn(self, images):
        self.net.train()
        self.optimizer.zero_grad()
        self.net(images).square().mean().backward()
        self.optimizer.step()

    @torch.no_grad()
    def get_action(self, images):
        return self.net(images).argmax(1)

class Learner:
    def __init__(self, net):
        self.net = net
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=0.1)

    def learn(self, images):
        self.net.train()
        self.optimizer.zero_grad()
        self.net(images).square().mean().backward()
        self.optimizer.step()

    @torch.no_grad()
    def test(self, images):
        return self.net(images).argmax(1)

def main(images):
    net = Policy()
    learner = Learner(net)
    learner.learn(images)
    net.eval()
    return learner.test(images).equal(learner.test(images))

# run: same = main(images)
# shows: same
```

### a script that puts its model into evaluation mode elsewhere
```python
import torch
from torch import nn

net = nn.Sequential(nn.Dropout(0.5), nn.Linear(8, 3))
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)

def train(loader):
    net.train()
    for images in loader:
        optimizer.zero_grad()
        net(images).square().mean().backward()
        optimizer.step()
    net.eval()

@torch.no_grad()
def test(loader):
    return [net(images) for images in loader]

def run(loader):
    train(loader)
    return test(loader)[0], test(loader)[0]

# run: first, second = run(loader)
# shows: first.equal(second)
```

### a sequence of layers that know no modes
```python
import torch
from torch import nn

def predict(path, images):
    net = nn.Sequential(nn.Linear(8, 4), nn.ReLU())
    net.load_state_dict(torch.load(path))
    with torch.no_grad():
        return net(images)
```

### all parts of a model are switched in a comprehension
```python
import torch
from torch import nn

class Parts(dict):
    __getattr__ = dict.__getitem__

def train(model, loader):
    for images in loader:
        model.encoder.train()
        model.decoder.train()
        model.decoder(model.encoder(images)).sum().backward()
        _ = [model[key].eval() for key in model]
        with torch.no_grad():
            print(model.decoder(model.encoder(images)).mean().item())

parts = Parts(encoder=nn.Sequential(nn.Linear(2, 2), nn.Dropout()), decoder=nn.Linear(2, 2))
train(parts, [torch.randn(2, 2)])
```
"""
