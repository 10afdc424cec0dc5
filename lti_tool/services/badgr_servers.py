"""The Badgr servers that people can connect to: entered, tried, changed; with the state of each."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from lti_tool.badgr import discovery, oauth
from lti_tool.badgr.errors import BadgrError, ClientRejectedError, InvalidScopeError, ThrottledError
from lti_tool.badgr.types import ServerAddress
from lti_tool.db import Database
from lti_tool.errors import ConflictError, InvalidInputError, NotFoundError
from lti_tool.models import BadgrServer, Connection
from lti_tool.models.badge import NEEDED_SCOPES
from lti_tool.services import audit, throttle, token_calls
from lti_tool.services.registration import check_text, check_url
from lti_tool.toolbox import Toolbox

# More than anybody can mean.
MOST_PARALLEL, MOST_PER_MINUTE = 100, 100_000


@dataclass(frozen=True, repr=False)
class BadgrServerData:
    """What an administrator says of a Badgr server; not shown by `repr`, for it holds a secret.

    An empty secret leaves the present one of a server that is changed.
    """

    name: str
    ui_url: str
    api_url: str
    client_id: str
    client_secret: str
    scopes: tuple[str, ...] = NEEDED_SCOPES
    max_parallel: int = 4
    max_per_minute: int | None = None


@dataclass(frozen=True)
class ServerState:
    """A server as administrators see it."""

    id: int
    name: str
    ui_url: str
    api_url: str
    client_id: str
    scopes: tuple[str, ...]
    max_parallel: int
    max_per_minute: int | None
    alive: int
    ended: int
    failures: int
    left_alone_until: datetime | None

    @property
    def is_troubled(self) -> bool:
        """Whether it has failed so often that it is left alone, or only tried now and then."""
        return self.failures >= throttle.FAILURES_TO_CLOSE


def discover(tools: Toolbox, address: str) -> discovery.Addresses:
    """Both addresses of a server from one of them; raises InvalidInputError when it does not tell."""
    check_url(tools.settings, "address", address)
    try:
        return discovery.addresses(tools.http, address)
    except BadgrError as error:
        advice = f"address: {error.advice} Enter the address of the pages and that of the API by hand."
        raise InvalidInputError(advice) from None


def save(
    tools: Toolbox,
    told: BadgrServerData,
    now: datetime,
    *,
    server_id: int | None = None,
    actor: str = audit.COMMAND_LINE,
    check: bool = True,
) -> int:
    """Add a server, or change one, when its key works; its id. Raises InvalidInputError, ConflictError."""
    check_text("name", told.name, longest=200)
    check_text("client id", told.client_id)
    check_url(tools.settings, "ui-url", told.ui_url)
    check_url(tools.settings, "api-url", told.api_url)
    if told.max_parallel not in range(1, MOST_PARALLEL + 1):
        raise InvalidInputError(f"limits: awards at the same time must be a number from 1 to {MOST_PARALLEL}.")
    if told.max_per_minute is not None and told.max_per_minute not in range(1, MOST_PER_MINUTE + 1):
        raise InvalidInputError(f"limits: awards in a minute must be a number from 1 to {MOST_PER_MINUTE}, or empty.")
    if not set(NEEDED_SCOPES) <= set(told.scopes):
        raise InvalidInputError(f"scopes: must have {' and '.join(NEEDED_SCOPES)} in them.")
    secret = told.client_secret.strip() or _present_secret(tools, server_id)
    check_text("client secret", secret)
    if check:
        check_key(tools, _address(told, secret), now)
    try:
        with tools.database.write() as session:
            server = session.get(BadgrServer, server_id) if server_id else BadgrServer(created_at=now)
            if server is None:
                raise NotFoundError("See the list of Badgr servers.", "There is no such Badgr server")
            server.name, server.client_id = told.name.strip(), told.client_id.strip()
            server.ui_url, server.api_url = told.ui_url.rstrip("/"), told.api_url.rstrip("/")
            server.sealed_client_secret, server.scopes = tools.vault.seal(secret), list(told.scopes)
            server.max_parallel, server.max_per_minute = told.max_parallel, told.max_per_minute
            session.add(server)
            action = "Badgr server changed" if server_id else "Badgr server added"
            audit.note(session, actor, action, now, detail=f"{server.name}: {server.api_url}")
            session.commit()
            return server.id
    except IntegrityError:
        raise ConflictError(
            f"There is a Badgr server named “{told.name.strip()}” already; give another name."
        ) from None


def check_key(tools: Toolbox, address: ServerAddress, now: datetime) -> None:
    """Raise InvalidInputError, saying what to do, unless the server knows this key and secret."""
    try:
        token_calls.respect_wait(tools, address, now)
        oauth.check_client(address, tools.http, f"{tools.settings.base_url}/badgr/callback")
    except (ClientRejectedError, InvalidScopeError):
        text = "The server does not know this key, or the secret is another one. Nothing was saved."
        raise InvalidInputError(f"client id: {text}") from None
    except ThrottledError as error:
        token_calls.note_wait(tools, address, error, now)
        wait = round(error.retry_after or 60)
        text = f"The server wants to be left alone for {wait} seconds. Nothing was saved; try again then."
        raise InvalidInputError(text) from None
    except BadgrError as error:
        host = urlsplit(address.api_url).netloc
        text = f"{host} does not answer like a Badgr server: {error.advice} Nothing was saved."
        raise InvalidInputError(f"api-url: {text}") from None


def try_key(tools: Toolbox, server_id: int, now: datetime) -> None:
    """Try the stored key of a server; raises InvalidInputError saying what is wrong, NotFoundError."""
    with tools.database.read() as session:
        server = session.get(BadgrServer, server_id)
    if server is None:
        raise NotFoundError("See the list of Badgr servers.", "There is no such Badgr server")
    secret = tools.vault.open(server.sealed_client_secret)
    check_key(tools, ServerAddress(server.ui_url, server.api_url, server.client_id, secret), now)


def states(database: Database, now: datetime) -> list[ServerState]:
    """Every server with its connections and its circuit breaker."""
    counted = select(Connection.server_id, func.count(), func.count(Connection.dead_since)).group_by(
        Connection.server_id
    )
    with database.read() as session:
        numbers = {row[0]: (row[1] - row[2], row[2]) for row in session.execute(counted)}
        servers = session.scalars(select(BadgrServer).order_by(BadgrServer.id)).all()
    return [
        ServerState(
            id=s.id,
            name=s.name,
            ui_url=s.ui_url,
            api_url=s.api_url,
            client_id=s.client_id,
            scopes=tuple(s.scopes),
            max_parallel=s.max_parallel,
            max_per_minute=s.max_per_minute,
            alive=numbers.get(s.id, (0, 0))[0],
            ended=numbers.get(s.id, (0, 0))[1],
            failures=s.failures,
            left_alone_until=throttle.left_alone_until(s, now),
        )
        for s in servers
    ]


def rows(tools: Toolbox) -> list[dict[str, Any]]:
    """Every server, one row each, without its secret."""
    with tools.database.read() as session:
        return [
            {"id": s.id, "name": s.name, "ui_url": s.ui_url, "api_url": s.api_url, "client_id": s.client_id}
            for s in session.scalars(select(BadgrServer).order_by(BadgrServer.id))
        ]


def _present_secret(tools: Toolbox, server_id: int | None) -> str:
    if server_id is None:
        return ""
    with tools.database.read() as session:
        server = session.get(BadgrServer, server_id)
    return tools.vault.open(server.sealed_client_secret) if server else ""


def _address(told: BadgrServerData, secret: str) -> ServerAddress:
    return ServerAddress(told.ui_url.rstrip("/"), told.api_url.rstrip("/"), told.client_id.strip(), secret)
