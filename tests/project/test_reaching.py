"""Who says a word, or calls somebody who does."""

from collections.abc import Callable, Mapping

from gradlint.project import Project
from gradlint.project.questions.reaching import Reaching

Build = Callable[[Mapping[str, str]], Project]


def test_callers_reach_what_they_call_in_other_files_and_nobody_else_does(build: Build) -> None:
    project = build(
        {
            "steps.py": "def step(optimizer):\n    optimizer.step()\n",
            "train.py": """
        from steps import step

        def epoch(optimizer, batches):
            for _ in batches:
                step(optimizer)

        def train(optimizer, batches):
            epoch(optimizer, batches)

        def evaluate(model, batches):
            return [model(batch) for batch in batches]
        """,
        }
    )
    reaching = Reaching("test", project.linker, project.calls, lambda words: "step" in words)
    found = {function.name for function in project.functions() if reaching.of(function)}
    assert {"step", "epoch", "train"} <= found
    assert "evaluate" not in found


def test_what_hands_its_losses_to_a_trainer_far_away_is_asked_whether_it_keeps_graphs(build: Build) -> None:
    project = build(
        {
            "engine.py": "class Engine:\n    def advance(self, loss):\n        loss.backward()\n",
            "helper.py": """
        from engine import Engine

        def learn(engine: Engine, loss):
            engine.advance(loss)
        """,
            "model.py": """
        from engine import Engine
        from helper import learn
        from torch import nn

        class Trained(nn.Module):
            def __init__(self):
                super().__init__()
                self.body = nn.Linear(2, 1)
                self.engine = Engine()

            def fit_all(self, batches):
                total = 0.0
                for batch in batches:
                    loss = self.body(batch).sum()
                    learn(self.engine, loss)
                    total += loss
                return float(total)
        """,
        }
    )
    (method,) = (function for function in project.functions() if function.name == "Trained.fit_all")
    assert [kept.walked for kept in project.growths.kept(method)] == [True]
