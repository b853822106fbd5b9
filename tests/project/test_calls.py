"""Who calls whom."""

from gradlint.model.extract import extract
from gradlint.project import Project
from gradlint.source import Source


def test_a_factory_that_returns_its_own_result_ends() -> None:
    text = """
class Net:
    def predict(self): ...

def build(depth):
    if depth:
        return build(depth - 1)
    return Net()

def run():
    net = build(3)
    net.predict()
"""
    project = Project([extract(Source("run.py", text))])
    callers = {f.name: [edge.caller.name for edge in found] for f, found in project.calls.callers.items()}
    assert callers["Net.predict"] == ["run"]
