"""Sends a test event to a source as the LMS would: through the public address, else straight into the inbox."""

import time
from dataclasses import dataclass
from datetime import datetime

import requests
from sqlalchemy import select

from lti_tool.errors import ConflictError, LtiBadgesError
from lti_tool.models import Event, EventStatus, Source
from lti_tool.services import audit, intake, marks, sources
from lti_tool.sources import KINDS
from lti_tool.sources.kind import Delivery
from lti_tool.toolbox import Toolbox

TIMEOUT = (5.0, 15.0)


@dataclass(frozen=True)
class Way:
    """One way that was tried: whether the event came in, what was answered, and within how many milliseconds."""

    came_in: bool
    said: str
    milliseconds: int


@dataclass(frozen=True)
class Trial:
    """What became of a test event; `inside` is tried only where the public address did not take it."""

    address: str
    public: Way
    inside: Way | None
    event_id: int | None
    event_status: EventStatus | None


def send(tools: Toolbox, source_id: int, actor: str, now: datetime) -> Trial:
    """Send a test event of the source's kind with its real secret; it is stored and shown, and changes nothing else.

    Raises NotFoundError, and ConflictError for a kind that has no example.
    """
    with tools.database.write() as session:
        source = sources.find(session, source_id)
        audit.note(session, actor, "test event sent", now, platform_id=source.platform_id, detail=source.name)
        session.commit()
    delivery = example(tools, source, now)
    headers = {**delivery.headers, marks.HEADER: marks.mark(tools.vault, source, now)}
    delivery = Delivery(headers, delivery.query, delivery.body)
    address = sources.address(tools.settings, source)
    public = _over_http(tools, address, delivery)
    inside = None if public.came_in else _inside(tools, source, delivery, now)
    event = _arrived(tools, source, delivery, now)
    return Trial(address, public, inside, event.id if event else None, event.status if event else None)


def example(tools: Toolbox, source: Source, now: datetime) -> Delivery:
    """A delivery as the sender would make it at this moment, with the source's secret; raises ConflictError."""
    kind = KINDS.get(source.kind)
    if kind is None or kind.example is None:
        raise ConflictError("There is no example of this kind of source: have the LMS send something.")
    access = sources.access_of(tools, source, now)
    return kind.example(access.secrets[0], access.options, now)


def _over_http(tools: Toolbox, address: str, delivery: Delivery) -> Way:
    began = time.monotonic()
    try:
        response = tools.http.post(
            address,
            params=dict(delivery.query),
            headers=dict(delivery.headers),
            data=delivery.body,
            timeout=TIMEOUT,
            allow_redirects=False,
        )
    except requests.RequestException as error:
        said = (
            "It is a private address, and the tool calls none."
            if "private" in str(error)
            else (f"It could not be reached from here ({type(error).__name__}).")
        )
        return Way(False, said, _since(began))
    return Way(
        response.ok and not response.is_redirect, f"It answered with status {response.status_code}.", _since(began)
    )


def _inside(tools: Toolbox, source: Source, delivery: Delivery, now: datetime) -> Way:
    began = time.monotonic()
    try:
        answer = intake.accept(tools, source.public_id, delivery.headers, delivery.query, delivery.body, now).answer
    except LtiBadgesError as error:
        return Way(False, f"{error.title}: {error.advice}", _since(began))
    return Way(True, f"The inbox answered with status {answer.status}.", _since(began))


def _arrived(tools: Toolbox, source: Source, delivery: Delivery, now: datetime) -> Event | None:
    kind = KINDS[source.kind]
    lower = Delivery({name.lower(): value for name, value in delivery.headers.items()}, delivery.query, delivery.body)
    try:
        delivery_id = kind.delivery_id(lower, kind.verify(lower, sources.access_of(tools, source, now)))
    except LtiBadgesError:
        return None
    with tools.database.read() as session:
        return session.scalar(select(Event).where(Event.source_id == source.id, Event.delivery_id == delivery_id))


def _since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)
