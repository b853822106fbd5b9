"""Bodies of functions that are made when somebody first asks for them: of most functions nobody does."""

from collections.abc import Callable
from typing import TYPE_CHECKING


class LateBody:
    """What may come without its ``body``, and with what makes it; one that is there costs nothing more to read."""

    __slots__ = ("_make_body",)

    _make_body: Callable[[], object]

    def put_body_off(self, make: Callable[[], object]) -> None:
        """Have the body made when it is asked for, in place of the one there is."""
        delattr(self, "body")
        self._make_body = make

    if not TYPE_CHECKING:  # type checkers would take any name for an attribute

        def __getattr__(self, name):
            """Asked for only what is missing."""
            if name != "body":
                raise AttributeError(f"{type(self).__name__} has no attribute {name}")
            self.body = self._make_body()
            del self._make_body
            return self.body
