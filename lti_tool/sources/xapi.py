"""xAPI 1.0.3: statements sent as to a Learning Record Store, answered as one would (xAPI part three, §1.4 and §2.1)."""

import base64
import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import RootModel, SerializeAsAny

from lti_tool.domain.events import GradeEvent
from lti_tool.sources.kind import (
    Access,
    Answer,
    Delivery,
    MalformedError,
    Option,
    SourceKind,
    new_token,
    require_secret,
)
from lti_tool.sources.reading import digest, kept, load
from lti_tool.sources.xapi_statements import Statement, Told, read_statement

VERSION = "1.0.3"
_VERSIONS = re.compile(r"1\.0(\.\d+)?")
# The names of statements that came without an id are made of their contents, so that a repeat has the same.
_NAMES = uuid.UUID("5b1d3c0e-6c1b-5e0a-9d0a-5f2d3c6f7a10")

OPTIONS = (
    Option(
        "home_page",
        "Home page of the accounts",
        "As it stands in the statements (actor.account.homePage). Fill it in when statements of several systems come "
        "by this way: people of other home pages are then not looked for here.",
    ),
)


@dataclass(frozen=True)
class _Draft:
    """What a statement is completed with."""

    name: str
    home_page: str
    now: datetime

    def completed(self, item: Any, number: int) -> Told:
        if isinstance(item, dict):
            own_id = str(uuid.uuid5(_NAMES, f"{self.name} {number}"))
            item = {"id": own_id, "timestamp": self.now.astimezone(UTC).isoformat()} | item
        told = read_statement(item)
        if isinstance(told, Statement):
            told.forget_accounts_except(self.home_page)
        return told


class _Batch(RootModel[list[SerializeAsAny[Told]]]):
    """What was sent by POST."""


def verify(delivery: Delivery, access: Access) -> bytes:
    """Check the password (HTTP Basic, any user name), and keep what is read of one statement (PUT) or several (POST).

    Statements get the id and the time that a Learning Record Store has to give them. Raises SignatureError and
    MalformedError.
    """
    require_secret(
        _password(delivery.headers.get("authorization", "")),
        access.secrets,
        "Enter any user name, and the secret of this source as the password.",
    )
    version = delivery.headers.get("x-experience-api-version", "")
    if not _VERSIONS.fullmatch(version):
        raise MalformedError(f"X-Experience-API-Version: the header must say {VERSION}")
    found = load(delivery.body)
    draft = _Draft(digest(delivery.body), access.options.get("home_page", ""), access.now)
    if "statementid" in {name.lower() for name in delivery.query}:
        return kept(_put(found, delivery.query, draft))
    items = found if isinstance(found, list) else [found]
    return kept(_Batch([_in_place(number, item, draft) for number, item in enumerate(items)]))


def parse(payload: bytes) -> list[GradeEvent]:
    """The grade events of the statements; raises MalformedError naming the first wrong field."""
    found = load(payload)
    told = [read_statement(item) for item in (found if isinstance(found, list) else [found])]
    events = [statement.grade_event() for statement in told if isinstance(statement, Statement)]
    return [event for event in events if event is not None]


def answer(payload: bytes, event_id: int | None, is_repeat: bool) -> Answer:
    """To POST the ids of the statements, to PUT nothing (xAPI part three, §2.1.1 and §2.1.2)."""
    found = load(payload)
    return Answer(200, [item["id"] for item in found]) if isinstance(found, list) else Answer(204, None)


def differs(payload: bytes, stored: bytes) -> bool:
    """Whether statements of the same ids say something else (xAPI part two, §2.3.1 and part three, §2.1.1).

    Not compared is the time, which is ours where the sender told none.
    """

    def said(found: Any) -> list[Any]:
        items = found if isinstance(found, list) else [found]
        return [{name: item[name] for name in item if name != "timestamp"} for item in items]

    return said(load(payload)) != said(load(stored))


def _password(header: str) -> str:
    scheme, _, encoded = header.partition(" ")
    try:
        pair = base64.b64decode(encoded.strip(), validate=True).decode() if scheme.lower() == "basic" else ""
    except ValueError:
        pair = ""
    return pair.partition(":")[2]


def _put(found: Any, query: Mapping[str, str], draft: _Draft) -> Told:
    wanted = next(value for name, value in query.items() if name.lower() == "statementid")
    told = draft.completed({"id": wanted} | found if isinstance(found, dict) else found, 0)
    if str(told.id) != wanted.lower():
        raise MalformedError("statementId: it is not the id of the statement")
    return told


def _in_place(number: int, item: Any, draft: _Draft) -> Told:
    try:
        return draft.completed(item, number)
    except MalformedError as error:
        raise MalformedError(f"{number}.{error.advice}") from None


def _delivery_id(delivery: Delivery, payload: bytes) -> str:
    found = load(payload)
    ids = [str(item["id"]) for item in (found if isinstance(found, list) else [found])]
    return ids[0] if len(ids) == 1 else digest(" ".join(ids).encode())


def _example(secret: str, options: Mapping[str, str], now: datetime) -> Delivery:
    home_page = options.get("home_page") or "https://example.org"
    statement = {
        "id": str(uuid.uuid4()),
        "actor": {"objectType": "Agent", "account": {"homePage": home_page, "name": "test-person"}},
        "verb": {"id": "http://adlnet.gov/expapi/verbs/completed", "display": {"en": "completed"}},
        "object": {"id": "https://example.org/test", "definition": {"name": {"en": "Test event"}}},
        "context": {"contextActivities": {"grouping": [{"id": "https://example.org/courses/test-course"}]}},
        "timestamp": now.isoformat(),
    }
    headers = {
        "content-type": "application/json",
        "x-experience-api-version": VERSION,
        "authorization": "Basic " + base64.b64encode(f"test:{secret}".encode()).decode(),
    }
    return Delivery(headers, {}, json.dumps([statement]).encode())


KIND = SourceKind(
    "xAPI statements",
    new_token,
    verify,
    _delivery_id,
    parse,
    options=OPTIONS,
    answer=answer,
    differs=differs,
    shown_in="basic",
    example=_example,
)
