"""``gradlint server``: speak the language server protocol on standard input and output."""

import click


@click.command(short_help="Speak the language server protocol, for editors.")
def server() -> None:
    """Speak the language server protocol on standard input and output, for editors.

    Needs the extra `server`: pip install 'torch-gradlint[server]'.
    """
    try:
        from gradlint.server.language import made
    except ModuleNotFoundError as error:
        raise click.ClickException(f"{error}; pip install 'torch-gradlint[server]'") from error
    made().start_io()
