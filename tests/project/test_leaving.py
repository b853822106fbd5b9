"""What a call may do to gradients is told by its name, where nothing else is known of it."""

import pytest

from gradlint.project.questions.leaving import may_zero


@pytest.mark.parametrize(
    "name",
    [
        "ema_model.update",
        "self.model_ema.step",
        "memory.update_priorities",
        "replay_buffer.reset",
        "env_test.step",
        "progress2.update",
        "losses.clear",
        "functional.reset_net",
        "set_requires_grad",
        "self.update_learning_rate",
        "get_train_batch",
    ],
)
def test_what_a_name_says_to_be_about_something_else_leaves_gradients_alone(name: str) -> None:
    assert not may_zero(name, handed=False)


@pytest.mark.parametrize("name", ["amp.scale_loss", "save_checkpoint", "log_step", "adjust_learning_rate", "set_lr"])
def test_so_does_what_is_given_an_optimizer_to_tell_of_it_or_to_set_its_rate(name: str) -> None:
    assert not may_zero(name, handed=True)


@pytest.mark.parametrize("name", ["prepare", "get_closure", "ema.apply", "memory.take"])
def test_anything_else_that_is_given_an_optimizer_may_zero(name: str) -> None:
    assert may_zero(name, handed=True)


@pytest.mark.parametrize(
    "name",
    [
        "helper.update_all",
        "trainer.reset",
        "optimizers.clear",
        "get_gradients",
        "log_gradients_and_zero",
        "save_and_update",
        "model.train_on_batch",
        "callback",
    ],
)
def test_what_trains_clears_or_speaks_of_gradients_may_zero(name: str) -> None:
    assert may_zero(name, handed=False)
