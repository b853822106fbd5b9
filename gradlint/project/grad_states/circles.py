"""Names and functions that stand for one another, perhaps in circles: each is asked once for each question."""

from collections.abc import Callable, Hashable

from gradlint.project.grad_states.effects import ENDLESS, Effect


class Circles:
    """Answers questions about effects. What leads back to itself is endless, and adds nothing to what else there is."""

    def __init__(self) -> None:
        self._found: dict[Hashable, Effect | None] = {}  # for the question that is being answered

    def answer(self, find: Callable[[], Effect | None]) -> Effect | None:
        """The answer to a question of its own; None where nothing leads out of a circle."""
        outside, self._found = self._found, {}
        try:
            found = find()
            return None if found == ENDLESS else found
        finally:
            self._found = outside

    def once(self, key: Hashable, find: Callable[[], Effect | None]) -> Effect | None:
        """The answer to a part of the question, found only once; endless while it is being found."""
        if key not in self._found:
            self._found[key] = ENDLESS
            self._found[key] = find()
        return self._found[key]
