"""``gradlint rule``: a rule's page in the terminal."""

import click


@click.command(short_help="Show the page of a rule.")
@click.argument("code", required=False)
@click.option("--all", "every", is_flag=True, help="Show the pages of all rules.")
@click.option("--output-format", type=click.Choice(("text", "json", "markdown")), default="text", show_default=True)
def rule(code: str | None, every: bool, output_format: str) -> None:
    """Show what a rule finds, what to write instead, and why; without CODE list the rules."""
    from gradlint.cli.pages import shown

    if every and code is not None:
        raise click.UsageError("give either a code or --all")
    shown(code, every=every, output_format=output_format)
