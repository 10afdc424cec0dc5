"""The command `lti-badges`: everything an administrator does without a browser."""

import sys

import click
from alembic.util import CommandError
from sqlalchemy.exc import OperationalError, ProgrammingError

from lti_tool.cli.administration import admin, check, keys, registration_link
from lti_tool.cli.awards import award
from lti_tool.cli.badgr_servers import badgr_server
from lti_tool.cli.connections import connection
from lti_tool.cli.demo import demo
from lti_tool.cli.people import erase_person
from lti_tool.cli.platforms import platform
from lti_tool.cli.reconcile import reconcile
from lti_tool.cli.running import migrate, serve, worker
from lti_tool.cli.sources import source
from lti_tool.errors import LtiBadgesError
from lti_tool.settings import SettingsError

DATABASE_ADVICE = (
    "If it is new, make its tables: lti-badges migrate. Else see LTI_BADGES_DATABASE_URL, and whether the server runs."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lti-badges")
def commands() -> None:
    """LTI Badges: grades and completions in any LMS become Open Badges issued by Badgr.

    Settings come from the environment (LTI_BADGES_*) or from the TOML file named by LTI_BADGES_CONFIG.
    """


for command in (
    demo,
    serve,
    worker,
    migrate,
    check,
    admin,
    registration_link,
    platform,
    badgr_server,
    connection,
    source,
    keys,
    award,
    reconcile,
    erase_person,
):
    commands.add_command(command)
commands.add_command(connection, "connections")


def main() -> None:
    """Run the command; a refusal is one line on standard error and exit status 1, wrong settings are status 2."""
    try:
        commands()
    except SettingsError as error:
        click.echo(f"The settings are not right:\n{error}", err=True)
        sys.exit(2)
    except LtiBadgesError as error:
        click.echo(f"{error.title}: {error.advice}", err=True)
        sys.exit(1)
    except CommandError as error:
        click.echo(f"The tables were not changed: {error}", err=True)
        sys.exit(1)
    except (OperationalError, ProgrammingError) as error:
        click.echo(f"The database cannot be used: {str(error.orig).strip()}\n{DATABASE_ADVICE}", err=True)
        sys.exit(1)
