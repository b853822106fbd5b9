"""Putting a changed source in the place of its file, whole or not at all."""

import codecs
import os
from contextlib import suppress

from gradlint.notebook import saved
from gradlint.source import Source

BESIDE = ".gradlint-"  # what the names of files begin with that are about to take another's place


class WriteError(Exception):
    """A file that cannot be replaced: its folder, its rights, or an encoding that lacks a character."""


def replace_file(path: str, source: Source) -> None:
    """Write the source to a file, keeping its mode, byte order mark, line ends and encoding.

    The new text goes to a file beside it, which then takes its name: at no time is there half a file. Where the
    path is a link, what it points to is replaced, and the link stays.

    Raises:
        WriteError: when this cannot be done; the file is as it was.
    """
    replace_bytes(path, encoded(source))


def replace_bytes(path: str, data: bytes) -> None:
    """Give a file other contents, whole or not at all; its mode stays.

    Raises:
        WriteError: when this cannot be done; the file is as it was.
    """
    import tempfile  # only where something is written

    target = os.path.realpath(path)
    try:
        mode = os.stat(target).st_mode
        descriptor, beside = tempfile.mkstemp(prefix=BESIDE, suffix=".new", dir=os.path.dirname(target))
    except OSError as error:
        raise WriteError(f"cannot write {path}: {error.strerror or error}") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(beside, mode)
        os.replace(beside, target)
    except OSError as error:
        raise WriteError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(FileNotFoundError):  # it has the other name now
            os.unlink(beside)


def encoded(source: Source) -> bytes:
    """The source as the bytes of a file.

    Raises:
        WriteError: when its encoding lacks a character.
    """
    try:
        data = saved(source).encode(source.encoding)
    except (LookupError, UnicodeError) as error:
        raise WriteError(f"cannot write {source.path} in {source.encoding}: {error}") from error
    return codecs.BOM_UTF8 + data if source.bom else data
