"""Programs to check and to trace; the numbers in comments are what tests say of the lines."""

EVALUATION = """\
import torch
from torch import nn

model = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 10))


def evaluate(model, batches):
    model.eval()
    hits = 0
    for batch in batches:
        hits += model(batch).argmax(1).sum().item()  # wasted
    return hits


def confidence(model, batches):
    model.eval()
    return [model(batch).softmax(1).amax(1).tolist() for batch in batches]  # guarded by its caller, from outside


def unused(model, batch):
    model.eval()
    return model(batch).argmax(1).tolist()  # never called


batches = [torch.randn(512, 64) for _ in range(6)]
print(evaluate(model, batches))
getattr(torch, "no_grad")()(lambda: globals()["confid" + "ence"](model, batches))()
"""
WASTED, GUARDED, UNUSED = 11, 17, 22

UNFORESEEN = """\
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(64, 2048)
        self.last = nn.Linear(2048, 10)

    def forward(self, batch):
        return self.last(self.first(batch).relu())


def run(step, batch):
    return step(batch)  # what it is, no reader can know


def turn_off():
    getattr(torch, "set_" + "grad_enabled")(False)


net = Net()
for _ in range(4):
    run(net, torch.randn(256, 64))
turn_off()
net(torch.randn(1, 64))
"""
DROPPED, LEFT = 16, 20

KEPT, GUARDED_KEPT = "validate", 'getattr(torch, "no_grad")()(globals()["valid" + "ate"])'
GROWTH = """\
import torch
from torch import nn

model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64))


def validate(model, batches):
    total = 0
    for batch in batches:
        total += model(batch).square().mean()
    print(total)


batches = [torch.randn(512, 64) for _ in range(20)]
{call}(model, batches)
"""
SUM = 10

LEAK = """\
import torch
from torch import nn


def predict(model, images):
    model.eval()
    torch.set_grad_enabled(False)
    return model(images).argmax(1)


globals()["pre" + "dict"](nn.Linear(4, 2), torch.ones(1, 4))
with torch.no_grad():
    pass
"""

LED = """\
import torch
from torch import nn


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(64, 2048), nn.ReLU(), nn.Linear(2048, 10))

    def encode(self, batch):
        return self.net(batch)  # inside


def evaluate(model, batches):
    model.eval()
    hits = 0
    for batch in batches:
        hits += model.encode(batch).argmax(1).sum().item()  # leads there
    return hits


def train(model, batches):
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for batch in batches:
        optimizer.zero_grad()
        model.encode(batch).square().mean().backward()
        optimizer.step()


model = Encoder()
batches = [torch.randn(256, 64) for _ in range(6)]
train(model, batches)
print(evaluate(model, batches))
"""
LEADS, INSIDE = 18, 11
