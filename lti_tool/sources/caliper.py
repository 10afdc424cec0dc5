"""Caliper 1.1 and 1.2: envelopes of events, with the secret in the header Authorization (Caliper 1.2, §7)."""

import json
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from pydantic import BeforeValidator, SerializeAsAny

from lti_tool.domain.events import GradeEvent
from lti_tool.sources.caliper_events import Event, Told, read_event
from lti_tool.sources.kind import Access, Delivery, MalformedError, SourceKind, new_token, require_secret
from lti_tool.sources.reading import Part, digest, kept, load, read


class _Envelope(Part):
    data: Annotated[list[object], BeforeValidator(lambda data: data if isinstance(data, list) else [data])]


class _Kept(Part):
    data: list[SerializeAsAny[Told]]


def verify(delivery: Delivery, access: Access) -> bytes:
    """Check the secret, with or without “Bearer” before it, and keep what is read of the events.

    Raises SignatureError and MalformedError.
    """
    shown = delivery.headers.get("authorization", "").strip()
    scheme, _, rest = shown.partition(" ")
    require_secret(
        rest.strip() if scheme.lower() == "bearer" else shown,
        access.secrets,
        "Send the secret of this source in the header Authorization, as “Bearer <secret>”.",
    )
    return kept(_Kept(data=_events(delivery.body)))


def parse(payload: bytes) -> list[GradeEvent]:
    """The grade events of an envelope; raises MalformedError naming the first wrong field."""
    found = [event.grade_event() for event in _events(payload) if isinstance(event, Event)]
    return [event for event in found if event is not None]


def _events(body: bytes) -> list[Told]:
    data = read(_Envelope, load(body)).data
    return [_in_place(number, item) for number, item in enumerate(data)]


def _in_place(number: int, item: object) -> Told:
    try:
        return read_event(item)
    except MalformedError as error:
        raise MalformedError(f"data.{number}.{error.advice}") from None


def _delivery_id(delivery: Delivery, payload: bytes) -> str:
    ids = [event.id for event in _events(payload)]
    return ids[0] if len(ids) == 1 and ids[0] else digest(payload)


def _example(secret: str, options: Mapping[str, str], now: datetime) -> Delivery:
    event = {
        "@context": "http://purl.imsglobal.org/ctx/caliper/v1p2",
        "id": uuid.uuid4().urn,
        "type": "AssignableEvent",
        "actor": "https://example.org/users/test-person",
        "action": "Completed",
        "object": {"id": "https://example.org/test", "type": "AssignableDigitalResource", "name": "Test event"},
        "group": "https://example.org/courses/test-course",
        "eventTime": now.isoformat(),
    }
    envelope = {
        "sensor": "https://example.org/sensor",
        "sendTime": now.isoformat(),
        "dataVersion": "http://purl.imsglobal.org/ctx/caliper/v1p2",
        "data": [event],
    }
    headers = {"content-type": "application/json", "authorization": f"Bearer {secret}"}
    return Delivery(headers, {}, json.dumps(envelope).encode())


KIND = SourceKind("Caliper 1.1 or 1.2", new_token, verify, _delivery_id, parse, example=_example)
