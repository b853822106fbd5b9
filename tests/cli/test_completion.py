"""Shell completion: the script, and what it asks for."""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest
from click.testing import Result

Gradlint = Callable[..., Result]


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_script_is_printed(gradlint: Gradlint, shell: str) -> None:
    result = gradlint("completion", shell)
    assert result.exit_code == 0
    assert f"_GRADLINT_COMPLETE={shell}_complete" in result.stdout


def test_commands_and_options_are_completed() -> None:
    def completed(words: str) -> set[str]:
        question = {"_GRADLINT_COMPLETE": "zsh_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()))}
        script = "import sys; sys.argv[0] = 'gradlint'; from gradlint.cli import main; main()"
        return set(
            subprocess.run(
                [sys.executable, "-c", script], env={**os.environ, **question}, capture_output=True, text=True
            ).stdout.split("\n")
        )

    assert {"check", "rule", "baseline", "server"} <= completed("gradlint ")
    assert {"sarif", "junit"} <= completed("gradlint check --output-format")
