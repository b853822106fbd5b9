"""``gradlint rule``: a rule's page in the terminal."""

import click


@click.command(short_help="Show the page of a rule.")
@click.argument("code", required=False)
@click.option("--all", "every", is_flag=True, help="All rules.")
@click.option(
    "--output-format", type=click.Choice(("text", "json", "markdown")), default="text", show_default=True
)
def rule(code: str | None, every: bool, output_format: str) -> int:
    """Show the page of the rule CODE: what it finds, what to write instead, and why."""
    from gradlint.cli.rule_page import shown

    if every == (code is not None):
        raise click.UsageError("give one rule's code, or --all")
    shown(code, output_format)
    return 0
