"""What the use cases work with, put together once by `app` and handed to them."""

from dataclasses import dataclass

import requests

from lti_tool.db import Database
from lti_tool.settings import Settings
from lti_tool.vault import Vault


@dataclass(frozen=True)
class Toolbox:
    """The settings, the database, the vault and the session for calls to the outside."""

    settings: Settings
    database: Database
    vault: Vault
    http: requests.Session
