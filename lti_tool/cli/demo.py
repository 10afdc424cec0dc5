"""`lti-badges demo`."""

import click


@click.command()
@click.option("--check", is_flag=True)
def demo(check: bool) -> None:
    """Placeholder."""
