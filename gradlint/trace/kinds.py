"""What a record of a log tells: its kind, and what stands beside the modes in it."""

import enum


class Kind(enum.IntEnum):
    """What a record of the log tells; 0 is space that nothing was written to."""

    ENTER = 1  # a grad mode was entered
    EXIT = 2  # ... and left again
    SET = 3  # ``set_grad_enabled(...)`` as a statement
    RESET = 4  # ... was only the making of a decorator, and is undone
    IMPLICIT = 5  # the mode is another than it was left: C++ did that (``autograd.Function``, hooks)
    DEVICE = 6  # memory of one more device, at the record that follows; ``site`` numbers the device
    FORWARD = 7  # a root module's forward returned
    MARK = 8  # memory was looked at; nothing changed


# Beside the modes of a record that enters a region:
ABSORBS = 16  # the statement before it was only the making of this region
INHERITED = 32  # it was entered by the process that forked this one, inside of it
UNREAD = 64  # memory of devices was not read, nor will be when it is left: see sampling.py
