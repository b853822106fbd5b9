"""``python -m gradlint`` and the ``gradlint`` command."""

import os
import sys
from typing import NoReturn

from gradlint.cache import replay
from gradlint.cache.replay import Answer
from gradlint.quick.answer import answer as quick_answer

_PIPE_CLOSED = 141  # 128 + SIGPIPE


def main() -> NoReturn:
    """Say again what was said before, or what is plain to see; else run the command line."""
    answer = replay.recall(sys.argv[1:])
    if answer is None and (text := quick_answer(sys.argv[1:])) is not None:
        answer = Answer(text, 0)
    if answer is not None:
        _say(answer)
    from gradlint import cli  # to import it takes longer than to say it again

    cli.main()


def _say(answer: Answer) -> NoReturn:
    encoding = sys.stdout.encoding or "utf-8"
    try:
        sys.stdout.write(answer.text.encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()
    except BrokenPipeError:
        os._exit(_PIPE_CLOSED)
    sys.exit(answer.status)


if __name__ == "__main__":
    main()
