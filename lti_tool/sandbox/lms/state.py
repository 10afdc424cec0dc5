"""Everything one sandbox LMS remembers, in memory; also what tests and the demo call directly."""

import json
import secrets
import threading
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt

from lti_tool.sandbox.faults import Faults
from lti_tool.sandbox.lms.claims import Launch, ToolLink, launch_claims
from lti_tool.sandbox.lms.config import LmsConfig, Tool, Webhook
from lti_tool.sandbox.lms.grades import Book, Grade, event, event_data
from lti_tool.sandbox.lms.keys import SigningKey, new_key
from lti_tool.sandbox.lms.lineitems import LineItem
from lti_tool.sandbox.lms.notices import copy_notice, send, service_claim
from lti_tool.sandbox.lms.outbox import Delivery, Outbox
from lti_tool.sandbox.lms.people import Course, Member
from lti_tool.sandbox.lms.scopes import NOTICE_HANDLERS, SERVICE_SCOPES
from lti_tool.sandbox.lms.seed import seed_courses, seed_grades


class LmsState:
    """One sandbox LMS. Whoever reads several parts at once, or changes one, holds `lock`."""

    def __init__(self, config: LmsConfig, key: SigningKey | None = None) -> None:
        self.config = config
        self.lock = threading.RLock()
        self.tool: Tool | None = None
        self.outbox = Outbox(config)
        self.faults = Faults()
        self.courses: dict[str, Course] = seed_courses()
        self.grades: Book = seed_grades()
        self.links: dict[str, ToolLink] = {}
        self.line_items: dict[str, LineItem] = {}
        self.access_tokens: dict[str, tuple[frozenset[str], datetime]] = {}
        self.requests: list[str] = []
        self.roster_marks: dict[str, dict[str, dict[str, Any]]] = {}
        # Where notices of copied courses go; empty while nobody wants them.
        self.notice_handler = ""
        self.used_jti: set[str] = set()
        self.registration_tokens: set[str] = set()
        self.registrations: list[dict[str, Any]] = []
        self._keys = [key or new_key()]
        self._launches: dict[str, Launch] = {}
        self._base_url = config.base_url.rstrip("/") if config.base_url else None
        for course in self.courses.values():
            link = course.resource_link_id
            self.line_items[link] = LineItem(link, course.id, "Badges", 100, resource_link_id=link)

    @property
    def scopes(self) -> tuple[str, ...]:
        """What the tool may ask an access token for."""
        return (*SERVICE_SCOPES, NOTICE_HANDLERS) if self.config.notices else SERVICE_SCOPES

    @property
    def base_url(self) -> str:
        """The issuer, and the start of every address; raises RuntimeError while nobody has told it."""
        if self._base_url is None:
            raise RuntimeError("The base URL is not known yet: set it, or send one request")
        return self._base_url

    @base_url.setter
    def base_url(self, url: str) -> None:
        self._base_url = url.rstrip("/")

    def learn_base_url(self, url: str) -> None:
        """Take this base URL unless there is one."""
        with self.lock:
            self._base_url = self._base_url or url.rstrip("/")

    @property
    def webhook(self) -> Webhook | None:
        """Where grade events go; None while nobody wants them."""
        return self.outbox.webhook

    @webhook.setter
    def webhook(self, webhook: Webhook | None) -> None:
        self.outbox.webhook = webhook

    def register_tool(
        self,
        *,
        login_url: str,
        launch_url: str,
        jwks_url: str,
        target_link_uri: str | None = None,
        client_id: str = "sandbox-client",
        deployment_id: str = "1",
    ) -> Tool:
        """Register the tool in place of any former one; it opens at `target_link_uri`, else at `launch_url`."""
        self.tool = Tool(client_id, deployment_id, login_url, launch_url, jwks_url, target_link_uri or launch_url)
        return self.tool

    @property
    def key(self) -> SigningKey:
        """The key that signs launches."""
        return self._keys[0]

    def rotate_key(self, keep_old: bool = True) -> SigningKey:
        """Sign with a new key from now on; the old ones stay in the key set or go."""
        with self.lock:
            self._keys = [new_key(), *(self._keys if keep_old else [])]
            return self.key

    def key_set(self) -> dict[str, Any]:
        """The public keys (RFC 7517), newest first."""
        return {"keys": [key.public_jwk() for key in self._keys]}

    def begin_launch(self, launch: Launch) -> str:
        """Remember a launch that starts now; gives its `lti_message_hint`."""
        launch_id = f"ltilaunch{launch.course_id}_{secrets.randbelow(10**9)}"
        with self.lock:
            self._launches[launch_id] = launch
        return json.dumps({"cmid": int(launch.course_id), "launchid": launch_id}, separators=(",", ":"))

    def find_launch(self, message_hint: str) -> Launch | None:
        """The launch that this `lti_message_hint` was given for."""
        try:
            return self._launches.get(str(json.loads(message_hint)["launchid"]))
        except (ValueError, TypeError, KeyError):
            return None

    def claims(self, launch: Launch, nonce: str) -> dict[str, Any]:
        """The claims of a good launch; raises LookupError."""
        if self.tool is None:
            raise LookupError("No tool is registered")
        where, member = self.member(launch.course_id, launch.sub)
        link = self.links[launch.link_id] if launch.link_id else None
        now = datetime.now(UTC)
        end = now + timedelta(seconds=self.config.launch_token_life)
        times = {"nonce": nonce, "iat": int(now.timestamp()), "exp": int(end.timestamp())}
        claims = launch_claims(self.base_url, self.config.name, self.tool, where, member, launch, link)
        return times | claims | (service_claim(self.base_url) if self.config.notices else {})

    def id_token(
        self,
        launch: Launch,
        nonce: str,
        *,
        key: SigningKey | None = None,
        headers: Mapping[str, Any] | None = None,
        **overrides: Any,
    ) -> str:
        """A signed launch, good or bad: `overrides` replace claims and `headers` header members, None leaves one out.

        Raises LookupError when person, course or tool is unknown.
        """
        signing = key or self.key
        claims = self.claims(launch, nonce) | overrides
        header = {"kid": signing.kid} | dict(headers or {})
        return jwt.encode(
            {name: value for name, value in claims.items() if value is not None},
            signing.private,
            algorithm="RS256",
            headers={name: value for name, value in header.items() if value is not None},
        )

    def member(self, course_id: str, sub: str) -> tuple[Course, Member]:
        """A course and one of its members; raises LookupError."""
        course = self.courses.get(course_id)
        member = course.member(sub) if course else None
        if course is None or member is None:
            raise LookupError("There is no such person in this course")
        return course, member

    def enrol(self, course_id: str, member: Member) -> None:
        """Add a member to a course, or replace the one with the same `sub`; raises KeyError."""
        with self.lock:
            course = self.courses[course_id]
            others = tuple(other for other in course.members if other.person.sub != member.person.sub)
            self.courses[course_id] = replace(course, members=(*others, member))

    def mark_roster(self, course: Course, members: dict[str, dict[str, Any]]) -> str:
        """Remember a roster as it was told; gives the mark from which changes can be asked."""
        mark = f"{course.id}.{secrets.token_hex(4)}"
        with self.lock:
            self.roster_marks[mark] = members
        return mark

    def copy_course(self, course_id: str, new_id: str) -> Course:
        """Copy a course with the links in it, as a new term does; raises KeyError."""
        with self.lock:
            old = self.courses[course_id]
            link_id = f"{new_id}-{old.resource_link_id}"
            activities = tuple(replace(activity, id=f"{new_id}-{activity.id}") for activity in old.activities)
            copy = replace(
                old,
                id=new_id,
                label=f"{old.label} COPY",
                title=f"{old.title} (copy)",
                resource_link_id=link_id,
                activities=activities,
                history=(course_id, *old.history),
                link_history=(old.resource_link_id, *old.link_history),
            )
            self.courses[new_id] = copy
            self.line_items[link_id] = LineItem(link_id, new_id, "Badges", 100, resource_link_id=link_id)
            for link in [link for link in self.links.values() if link.course_id == course_id]:
                copied = replace(link, id=f"{new_id}-{link.id}", course_id=new_id, line_item_id=None)
                self.links[copied.id] = copied
        if self.tool is not None and self.notice_handler:
            send(self.notice_handler, copy_notice(self.base_url, self.tool, copy, course_id), self.key)
        return copy

    def grade(
        self,
        course_id: str,
        sub: str,
        activity_id: str,
        score: float | None = None,
        completed: bool | None = None,
        released: bool = True,
    ) -> Delivery:
        """Store points, or that it is done or not, and post the event; raises LookupError and ValueError."""
        if (score is None) == (completed is None):
            raise ValueError("Give either a score or whether it is completed")
        course, member = self.member(course_id, sub)
        activity = course.activity(activity_id)
        if activity is None or not member.is_learner:
            raise LookupError("There is no such activity, or the person is no learner")
        if score is not None and (activity.maximum is None or not 0 <= score < float("inf")):
            raise ValueError("A score is 0 or more, and this activity must have points")
        with self.lock:
            at = self._next_time((course_id, sub, activity_id))
            grade = Grade(at, score, completed, released)
            self.grades[course_id, sub, activity_id] = grade
        data = event_data(self.tool.deployment_id if self.tool else "1", course, sub, activity, grade)
        title = f"{activity.title}, {member.person.name}"
        return self.outbox.post(title, json.dumps(event(data, at)))

    def announce(self, course_id: str) -> Delivery:
        """Post all present grades of a course as one batch; raises LookupError when there is none."""
        with self.lock:
            course = self.courses[course_id]
            deployment_id = self.tool.deployment_id if self.tool else "1"
            batch = [
                event_data(deployment_id, course, sub, activity, grade)
                for (place, sub, activity_id), grade in self.grades.items()
                if place == course_id and (activity := course.activity(activity_id)) is not None
            ]
        if not batch:
            raise LookupError("There are no grades in this course")
        return self.outbox.post(f"{len(batch)} earlier grades", json.dumps(event(batch, datetime.now(UTC))))

    def _next_time(self, place: tuple[str, str, str]) -> datetime:
        now = datetime.now(UTC)
        former = self.grades.get(place)
        # Two events about one grade never carry the same time, not even in milliseconds.
        return max(now, former.at + timedelta(milliseconds=1)) if former else now
