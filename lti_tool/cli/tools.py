"""What a command works with, put away again when the command ends."""

import click

from lti_tool.app import create_tools
from lti_tool.settings import load_settings
from lti_tool.toolbox import Toolbox

# The number of a row, as every database can have it.
ROW_ID = click.IntRange(1, 2**63 - 1)


def open_tools() -> Toolbox:
    """The tools by the settings of the environment; raises SettingsError."""
    tools = create_tools(load_settings())
    click.get_current_context().call_on_close(tools.database.dispose)
    return tools
