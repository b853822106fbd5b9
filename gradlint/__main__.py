"""``python -m gradlint`` and the ``gradlint`` command."""

from gradlint.cli import main

if __name__ == "__main__":
    main()
