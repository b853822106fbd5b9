"""What is said of ``volatile`` holds in the grad mode of the place where it stands."""

from collections.abc import Callable, Mapping

import pytest

from gradlint import registry
from gradlint.project import Project

Build = Callable[[Mapping[str, str]], Project]
PREDICT = """\
import torch
from torch.autograd import Variable
def predict(model, image):
    with torch.{mode}():
        {statement}
        return model(image)
"""


@pytest.mark.parametrize(
    "statement",
    ["image = Variable(image, volatile=True)", "image = Variable(image)\n        image.volatile = True"],
    ids=["argument", "attribute"],
)
@pytest.mark.parametrize(
    ("mode", "outcome"),
    [("enable_grad", "the forward records a graph"), ("no_grad", "it only warns"), ("inference_mode", "it only warns")],
)
def test_where_recording_is_off_volatile_only_warns(build: Build, mode: str, outcome: str, statement: str) -> None:
    (rule,) = (rule for rule in registry.load() if rule.code == "GL320")
    (finding,) = rule.check(build({"code.py": PREDICT.format(mode=mode, statement=statement)}))
    assert finding.message == f"`volatile` has no effect since PyTorch 0.4: {outcome}"
    assert (finding.help or "").startswith("put the forward under" if mode == "enable_grad" else "take it out")
