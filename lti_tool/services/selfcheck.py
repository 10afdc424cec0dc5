"""Tries everything that an award needs, and says in plain words what does not work and what to click where."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import requests
from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from lti_tool.errors import InvalidInputError, NotFoundError
from lti_tool.jwks import fetch_key_set
from lti_tool.lti import advice
from lti_tool.lti.ags import LINE_ITEM_SCOPE, RESULT_SCOPE, SCORE_SCOPE, read_line_items, reading_scope
from lti_tool.lti.claims import NRPS_SCOPE
from lti_tool.lti.errors import LtiServiceError
from lti_tool.lti.keys import SigningKey, signing_key
from lti_tool.lti.nrps import Roster, read_roster
from lti_tool.lti.services import ServiceClient
from lti_tool.lti.tokens import request_token
from lti_tool.models import BadgrServer, Connection, Course, Platform, Source
from lti_tool.services import badgr_servers, delivery, health, intake, upkeep
from lti_tool.services.admins import Admin
from lti_tool.services.sources import OWN_KINDS
from lti_tool.toolbox import Toolbox

TIMEOUT = (5.0, 10.0)
LATE = timedelta(minutes=5)
SCOPES = {
    NRPS_SCOPE: "read the course list",
    LINE_ITEM_SCOPE: "make columns in the gradebook",
    SCORE_SCOPE: "write scores into its columns",
    RESULT_SCOPE: "read the results of its columns",
}


class Outcome(StrEnum):
    """How one thing was found."""

    FINE = "fine"
    FAULT = "fault"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """One thing that was tried: what is so, and what to do about it (empty when nothing)."""

    topic: str
    outcome: Outcome
    detail: str
    advice: str = ""


@dataclass(frozen=True)
class Subject:
    """Something to check: the tool itself, an LMS, or a Badgr server; `key` names it in an address."""

    key: str
    name: str


def subjects(tools: Toolbox, admin: Admin) -> list[Subject]:
    """What this administrator can have checked."""
    with tools.database.read() as session:
        query = select(Platform).where(Platform.enabled).order_by(Platform.name)
        if not admin.is_local:
            query = query.where(Platform.id == admin.platform_id)
        found = [Subject(f"platform-{platform.id}", platform.name) for platform in session.scalars(query)]
        if not admin.is_local:
            return found
        servers = session.scalars(select(BadgrServer).order_by(BadgrServer.name))
        return [Subject("tool", "Badges itself"), *found, *(Subject(f"badgr-{s.id}", s.name) for s in servers)]


def check(
    tools: Toolbox, admin: Admin, key: str, now: datetime, *, with_keys: bool = True
) -> tuple[Subject, list[Finding]]:
    """Try one subject, which takes some seconds; raises NotFoundError for one that is not this administrator's.

    A key is tried by a code that is refused, and refusals make a Badgr server wait for all calls (BADGR.md §1.6): what
    runs every few minutes leaves that out, `with_keys`.
    """
    subject = next((subject for subject in subjects(tools, admin) if subject.key == key), None)
    if subject is None:
        raise NotFoundError("It does not exist, or it is not yours to administer.")
    kind, _, number = key.partition("-")
    if kind == "platform":
        return subject, list(_Platform(tools, int(number), admin.deployment_id, now).findings())
    if kind == "badgr":
        return subject, list(_badgr_findings(tools, int(number), now, with_keys=with_keys))
    return subject, list(_tool_findings(tools, now))


class _Platform:
    """The checks of one LMS, of one deployment if only that may be seen; no call is made inside a transaction."""

    def __init__(self, tools: Toolbox, platform_id: int, deployment_id: int | None, now: datetime) -> None:
        self._tools, self._now, self._deployment_id = tools, now, deployment_id
        with tools.database.write() as session:
            self._key: SigningKey = signing_key(session, tools.vault, now)
            session.commit()
        with tools.database.read() as session:
            query = select(Platform).where(Platform.id == platform_id).options(selectinload(Platform.deployments))
            self._platform = session.scalars(query).one()
            self._roster_course = self._newest_course(session, deployment_id, "memberships_url")
            self._items_course = self._newest_course(session, deployment_id, "line_items_url")
        # One bad answer is shown, too.
        self._client = ServiceClient(tools.database, tools.vault, tools.http, pauses=())

    def findings(self) -> Iterator[Finding]:
        """Every finding, in the order in which a launch and an award need things."""
        yield self._keys()
        yield self._deployments()
        yield from self._scopes()
        yield from self._roster()
        yield self._line_items()
        yield self._sources()

    def _newest_course(self, session: Session, deployment_id: int | None, address: str) -> Course | None:
        deployments = [d.id for d in self._platform.deployments if deployment_id in (None, d.id)]
        query = select(Course).where(Course.deployment_id.in_(deployments), getattr(Course, address).is_not(None))
        return session.scalar(query.order_by(Course.id.desc()).limit(1))

    def _advice(self, topic: str) -> str:
        return advice.for_family(self._platform.family, topic)

    def _keys(self) -> Finding:
        url = self._platform.jwks_url
        try:
            number = len(fetch_key_set(self._tools.http, url)["keys"])
        except (requests.RequestException, ValueError):
            text = f"The key set of the LMS at {url} does not answer with keys. Launches fail while that lasts."
            return Finding("Key set", Outcome.FAULT, text, self._advice("keys"))
        if not number:
            return Finding("Key set", Outcome.FAULT, f"The key set at {url} is empty.", self._advice("keys"))
        return Finding("Key set", Outcome.FINE, f"The LMS publishes {number} key{'s' if number > 1 else ''}.")

    def _deployments(self) -> Finding:
        topic = "Installation"
        found = [d for d in self._platform.deployments if self._deployment_id in (None, d.id)]
        if any(d.foreign_host for d in found):
            text = "It was opened from another address than before; those launches are refused."
            return Finding(topic, Outcome.FAULT, text, "Decide on the page of this LMS: a test copy, or has it moved?")
        if not any(d.approved for d in found):
            text = "No installation is approved, so nobody can open Badges."
            todo = "Open Badges once from a course; then approve the installation on the page of this LMS."
            return Finding(topic, Outcome.FAULT, text, todo)
        if not all(d.approved for d in found):
            text = "An installation waits for approval; nobody can open Badges there."
            return Finding(topic, Outcome.FAULT, text, "Approve or refuse it on the page of this LMS.")
        return Finding(topic, Outcome.FINE, "Approved.")

    def _scopes(self) -> Iterator[Finding]:
        for scope, words in SCOPES.items():
            topic = f"May {words}"
            try:
                request_token(self._tools.http, self._platform, self._key, [scope], self._now)
            except LtiServiceError as error:
                yield Finding(topic, Outcome.FAULT, error.advice, self._advice("scopes"))
                if error.retryable:
                    # The token address itself does not work: the other scopes would only say so again.
                    return
            else:
                yield Finding(topic, Outcome.FINE, "Allowed.")

    def _roster(self) -> Iterator[Finding]:
        course = self._roster_course
        if course is None or course.memberships_url is None:
            yield Finding("Course list", Outcome.UNKNOWN, "No course has opened Badges yet.", self._advice("launch"))
            return
        where = course.title or course.label or course.context_id
        try:
            roster = read_roster(self._client, self._platform.id, course.memberships_url, self._now)
        except LtiServiceError as error:
            yield Finding("Course list", Outcome.FAULT, f"In {where}: {error.advice}", self._advice("roster"))
            return
        yield Finding("Course list", Outcome.FINE, f"{where} has {len(roster.members)} people.")
        yield self._addresses(roster, where)

    def _addresses(self, roster: Roster, where: str) -> Finding:
        topic, people = "E-mail addresses", [member for member in roster.members if member.active]
        known = sum(member.email is not None for member in people)
        text = f"{known} of {len(people)} people in {where} have an address that the LMS tells."
        if people and not known:
            return Finding(topic, Outcome.FAULT, f"{text} Badges cannot be sent to anybody.", self._advice("email"))
        return Finding(topic, Outcome.FINE, text)

    def _line_items(self) -> Finding:
        topic, course = "Gradebook", self._items_course
        if course is None or course.line_items_url is None:
            text = "No launch has named the gradebook service. It is needed only for columns of badges."
            return Finding(topic, Outcome.UNKNOWN, text, self._advice("scopes"))
        try:
            scope = reading_scope(course.service_scopes)
            number = len(read_line_items(self._client, self._platform.id, course.line_items_url, self._now, scope))
        except LtiServiceError as error:
            return Finding(topic, Outcome.FAULT, error.advice, self._advice("scopes"))
        return Finding(topic, Outcome.FINE, f"Badges has {number} column{'' if number == 1 else 's'} there.")

    def _sources(self) -> Finding:
        topic = "Sources"
        with self._tools.database.read() as session:
            query = select(Source).where(Source.platform_id == self._platform.id, Source.enabled)
            own = [
                s
                for s in session.scalars(query)
                if self._deployment_id in (None, s.deployment_id or self._deployment_id)
            ]
            silent_ids = {source.id for source in health.silent_sources(session, self._now)}
        number = sum(source.kind not in OWN_KINDS for source in own)
        silent = [source.name for source in own if source.id in silent_ids]
        if silent:
            text = f"Silent for longer than usual: {', '.join(silent)}."
            return Finding(topic, Outcome.FAULT, text, "See in the LMS whether its webhook is still switched on.")
        if not number:
            text = "No source is switched on: grades are known only where the LMS lets them be read."
            return Finding(topic, Outcome.UNKNOWN, text, "Add a source under “Sources”, and a webhook in the LMS.")
        return Finding(topic, Outcome.FINE, f"{number} switched on, none is silent.")


def _badgr_findings(tools: Toolbox, server_id: int, now: datetime, *, with_keys: bool) -> Iterator[Finding]:
    with tools.database.read() as session:
        server = session.get_one(BadgrServer, server_id)
        ends = session.scalars(select(Connection.dead_since).where(Connection.server_id == server_id)).all()
    url = f"{server.api_url}/v2/users/self"
    try:
        # Without a token it must say 401: that shows that it is a Badgr server and at work.
        status = tools.http.get(url, timeout=TIMEOUT, allow_redirects=False).status_code
    except requests.RequestException:
        text = f"{server.api_url} cannot be reached from here."
        yield Finding("API", Outcome.FAULT, text, "Check the API address and the firewall of this machine.")
    else:
        yield _badgr_api(server, status)
        if with_keys:
            yield _badgr_key(tools, server_id, now)
    ended = sum(end is not None for end in ends)
    text = f"{len(ends) - ended} at work, {ended} ended."
    todo = "Whoever made an ended connection is told on the page of the course, and can connect again there."
    yield Finding("Connections", Outcome.FAULT if ended else Outcome.FINE, text, todo if ended else "")


def _badgr_api(server: BadgrServer, status: int) -> Finding:
    if status in (requests.codes.unauthorized, requests.codes.forbidden):
        return Finding("API", Outcome.FINE, f"{server.api_url} answers.")
    text = f"{server.api_url} answers with status {status}, which a Badgr server does not."
    return Finding("API", Outcome.FAULT, text, "Check the API address: it is often another than that of the pages.")


def _badgr_key(tools: Toolbox, server_id: int, now: datetime) -> Finding:
    try:
        badgr_servers.try_key(tools, server_id, now)
    except InvalidInputError as error:
        text = error.advice.partition(": ")[2] or error.advice
        todo = "Correct the key on the page of this server, or wait when it says so; see its registration at Badgr."
        return Finding("Key and secret", Outcome.FAULT, text.replace(" Nothing was saved.", ""), todo)
    return Finding("Key and secret", Outcome.FINE, "The server knows them.")


def _tool_findings(tools: Toolbox, now: datetime) -> Iterator[Finding]:
    is_https = tools.settings.base_url.startswith("https://")
    text = (
        f"{tools.settings.base_url}{'' if is_https else ' is without https: good for trying it on one machine only.'}"
    )
    todo = "" if is_https else "Set LTI_BADGES_BASE_URL to the https address that the reverse proxy serves."
    yield Finding("Public address", Outcome.FINE if is_https else Outcome.UNKNOWN, text, todo)
    if upkeep.is_worker_alive(tools, now):
        yield Finding("Worker", Outcome.FINE, "Seen within the last three minutes.")
    else:
        todo = "Start the command lti-badges worker, or use the embedded queue with lti-badges serve."
        yield Finding("Worker", Outcome.FAULT, "No worker was seen for three minutes: no badge goes out.", todo)
    with tools.database.read() as session:
        late = now - LATE
        waiting: Sequence[int] = [*intake.due_events(session, late), *delivery.due_awards(session, late)]
    if waiting:
        text = f"{len(waiting)} events or awards are due for more than five minutes."
        yield Finding("Queue", Outcome.FAULT, text, "See the log of the worker, and whether it has enough threads.")
    else:
        yield Finding("Queue", Outcome.FINE, "Nothing is late.")
