"""The parts of the running application, for the views."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from flask import current_app

from lti_tool.lti.keysets import KeySets
from lti_tool.lti.login import StateSigner
from lti_tool.toolbox import Toolbox
from lti_tool.web.origins import Origins

if TYPE_CHECKING:
    from lti_tool.tasks import Queue


@dataclass(frozen=True)
class WebParts:
    """What views work with beyond the request."""

    tools: Toolbox
    queue: "Queue"
    signer: StateSigner = field(init=False)
    keysets: KeySets = field(init=False)
    origins: Origins = field(init=False)

    def __post_init__(self) -> None:
        """Derive the parts that only the web needs."""
        keys = [key.get_secret_value() for key in self.tools.settings.secret_keys]
        object.__setattr__(self, "signer", StateSigner(keys))
        object.__setattr__(self, "keysets", KeySets(self.tools.database, self.tools.http))
        object.__setattr__(self, "origins", Origins(self.tools.database))


def parts() -> WebParts:
    """The parts of the application that answers this request."""
    found: WebParts = current_app.extensions["lti_badges"]
    return found


def tools() -> Toolbox:
    """What the use cases work with."""
    return parts().tools


def public_url(path: str) -> str:
    """An address of this tool as the outside sees it."""
    return tools().settings.base_url + path


def utc_now() -> datetime:
    """This moment."""
    return datetime.now(UTC)
