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
is made and loaded (or by who hands it over or gives it back), put into training mode, or trained
before it is run on other data; another model is put into evaluation mode there and this one is not; or
a function that measures is handed a model, or finds it in its object or file, that is trained around it
while nobody ever calls `eval()`, or that was put into training mode just before. For a model whose layers are
not known this is advice, off by default: without dropout and batch norm the mode makes no difference.
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
