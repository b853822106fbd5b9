"""Which threads run forwards of modules."""

import threading
from typing import Any

TRIAL = 50  # forwards for which a new thread is watched, to see whether it runs any
RUNNING: Any = vars(threading)["_active"]  # asking threading itself how many there are takes a lock


class Runners:
    """Which threads run forwards. A thread that never does (progress bars have one) needs no watching for long."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._left = TRIAL

    def one_more(self) -> None:
        """A thread starts, which may run forwards."""
        self._left = TRIAL

    def several(self) -> bool:
        """A forward begins on this thread; whether other threads may run forwards too."""
        known = self.known()
        if self._left:
            self._left -= 1
            return True
        return known

    def alone(self) -> bool:
        """Whether there is no need to ask `several`, which would say no."""
        return not self._left and not self.known()

    def known(self) -> bool:
        """This thread runs forwards; whether others have been seen to do so too."""
        self._seen.add(threading.get_ident())
        if len(self._seen) > 1:
            self._seen &= RUNNING.keys()
        return len(self._seen) > 1
