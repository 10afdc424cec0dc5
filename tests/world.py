"""The tool with a sandbox LMS and a sandbox Badgr, all over HTTP on free ports of this machine."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import delete, select, update
from sqlalchemy.orm import selectinload

from lti_tool.models import Award, BadgrServer, Person, TokenWait
from lti_tool.sandbox.badgr import BadgrConfig, BadgrState
from lti_tool.sandbox.badgr.seed import seeded
from lti_tool.sandbox.lms import LmsConfig, LmsState
from lti_tool.sandbox.lms.config import Webhook
from lti_tool.sandbox.lms.outbox import Delivery
from lti_tool.sandbox.serving import LocalServer
from lti_tool.sandbox.visitor import Visitor
from lti_tool.services import badgr_servers, registration, sources
from lti_tool.services.badgr_servers import BadgrServerData
from lti_tool.services.registration import PlatformData
from lti_tool.services.sources import SourceData
from lti_tool.settings import Settings
from lti_tool.tasks import Queue
from lti_tool.toolbox import Toolbox
from tests import kept

CLIENT_ID, DEPLOYMENT_ID = "lti-badges-test", "1"
BIOLOGY, CHEMISTRY = "2", "3"
TEACHER, LEARNER, NO_MAIL, EARLY, CLOSE, TUTOR, FORMER = "3", "4", "5", "6", "7", "20", "16"
LEARNER_ADDRESS = "learner@example.org"


@dataclass
class World:
    """Everything that runs, with what tests need of each."""

    app: Flask
    tool_url: str
    lms_url: str
    badgr_url: str
    lms: LmsState
    badgr: BadgrState
    webhook: Webhook

    @property
    def tools(self) -> Toolbox:
        """What the use cases work with."""
        found: Toolbox = self.app.extensions["lti_badges"].tools
        return found

    @property
    def queue(self) -> Queue:
        """The tool's queue."""
        found: Queue = self.app.extensions["lti_badges"].queue
        return found

    def work(self) -> None:
        """Do everything that is in the queue now, in this thread; what is to be tried later stays."""
        while task := self.queue.huey.dequeue():
            self.queue.huey.execute(task)

    def sweep(self) -> None:
        """What happens every minute, and the work that it finds."""
        self.queue.sweep()
        self.work()

    def launch(self, sub: str, course: str = BIOLOGY, visitor: Visitor | None = None) -> Visitor:
        """Open Badges from the LMS as this person."""
        visitor = visitor or Visitor()
        visitor.open(f"{self.lms_url}/courses/{course}/badges?as={sub}")
        visitor.submit("/lti/login").submit()
        self.work()
        return visitor

    def connect(self, teacher: Visitor, user: str = "Olive Owner", decision: str = "allow") -> Visitor:
        """Connect the course to Badgr in a tab of its own; gives that tab."""
        tab = Visitor()
        tab.open(self.connect_url(teacher))
        tab.submit("/badgr/begin")
        account = next(u for u in self.badgr.users.values() if u.name == user)
        return tab.submit(None, {"user": account.entity_id}, ("decision", decision))

    def connect_url(self, teacher: Visitor) -> str:
        """The address behind "Connect to Badgr" on the page that a teacher is at."""
        return str(teacher.browser.absolute_url(teacher.page.select_one("a[href*='/badgr/connect']")["href"]))

    def make_rule(
        self,
        teacher: Visitor,
        badge: str = "Algebra I",
        kind: str = "score",
        percent: str = "80",
        activity: str = "Quiz 1",
    ) -> Visitor:
        """From the course's first page: choose the issuer when asked, a badge and what earns it; ends at the rule."""
        teacher.open(self.course_url(teacher))
        if link := teacher.page.select_one("main a.button[href*='/issuer']"):
            teacher.open(link["href"])
            teacher.submit("/issuer", {"issuer": teacher.page.select_one("input[name=issuer]")["value"]})
        else:
            teacher.open(self.course_url(teacher) + "rules/new")
        found = next(
            c for c in teacher.page.select("label.choice") if f" {badge} " in f" {' '.join(c.get_text(' ').split())} "
        )
        chosen = next((o["value"] for o in teacher.page.select("option") if o.text == activity), "new")
        entered = {"badge_class": found.input["value"], "kind": kind, "percent": percent, "activity": chosen}
        return teacher.submit("/rules", entered | ({"new_activity": activity} if chosen == "new" else {}))

    def ready_course(self, *, scope: str = "all", **rule: str) -> Visitor:
        """A course that is connected and has an active rule; the teacher is at its page."""
        self.announce()
        teacher = self.launch(TEACHER)
        self.connect(teacher)
        self.make_rule(teacher, **rule).submit("/activate", {"scope": scope})
        self.work()
        return teacher

    def course_url(self, visitor: Visitor) -> str:
        """The address of the first page of the course that a visitor is in."""
        head, _, tail = visitor.url.partition("/courses/")
        return f"{head}/courses/{tail.split('/')[0]}/"

    def announce(self, course: str = BIOLOGY) -> None:
        """Let the LMS tell all earlier grades of a course, and work on them."""
        self.lms.outbox.wait(self.lms.announce(course).id)
        self.work()

    def grade(self, sub: str, activity: str = "quiz-1", course: str = BIOLOGY, **grade: Any) -> Delivery:
        """Grade in the LMS and wait until its webhook was answered; what it causes is not worked on yet."""
        return self.lms.outbox.wait(self.lms.grade(course, sub, activity, **grade).id)

    def tick(self) -> None:
        """Let every waiting time of awards and events pass, then do what is due."""
        now = datetime.now(UTC)
        with self.tools.database.write() as session:
            session.execute(update(Award).where(Award.due_at > now).values(due_at=now))
            session.execute(update(Award).where(Award.score_due_at > now).values(score_due_at=now))
            session.execute(delete(TokenWait))
            session.execute(update(BadgrServer).values(asked_until=None, closed_until=None, minute_started_at=None))
            session.commit()
        self.sweep()

    def award_of(self, sub: str) -> Award:
        """The only award of a person, with its steps."""
        query = select(Award).join(Person).where(Person.sub == sub).options(selectinload(Award.steps))
        with self.tools.database.read() as session:
            return session.scalars(query).one()

    def token_calls(self) -> int:
        """How many requests for a token Badgr has seen."""
        return sum(request.path.startswith("/o/token") for request in self.badgr.requests)

    def held_by(self, address: str) -> list[str]:
        """The names of the live badges that an address has at Badgr."""
        return [self.badgr.badge_classes[a.badge_class_id].name for a in self.badgr.live_assertions(address)]


@contextmanager
def running_world(
    database_url: str, folder: Path, *, lms: LmsConfig | None = None, badgr: BadgrConfig | None = None, **settings: Any
) -> Iterator[World]:
    """Start the three servers, and register them with each other as an administrator would."""
    with ExitStack() as stack:
        tool_url = stack.enter_context(LocalServer(kept.answer)).url
        badgr_url = stack.enter_context(LocalServer(kept.badgr())).url
        lms_url = stack.enter_context(LocalServer(kept.lms(), "localhost")).url
        chosen = Settings(
            base_url=tool_url,
            database_url=database_url,
            queue_url=f"sqlite:///{folder}/queue.db" if database_url.startswith("sqlite") else database_url,
            secret_keys=(kept.SECRET_KEY,),
            allow_private_addresses=True,
            log_level="ERROR",
            **settings,
        )
        tools = kept.tools(chosen)
        stack.callback(tools.database.dispose)
        kept.give_key(tools)
        app = kept.tool(tools)
        storage = app.extensions["lti_badges"].queue.huey.storage
        storage.blocking = False
        stack.callback(storage.close)
        badgr_state = seeded(badgr or BadgrConfig(token_backoff=False))
        kept.badgr().extensions["sandbox_badgr"] = badgr_state
        lms_state = LmsState(lms or LmsConfig(webhook_tries=1, nrps_page_size=50), kept.lms_key())
        lms_state.base_url = lms_url
        kept.lms().extensions["sandbox_lms"] = lms_state
        webhook = _register(tools, tool_url, lms_url, badgr_url, lms_state)
        yield World(app, tool_url, lms_url, badgr_url, lms_state, badgr_state, webhook)


def _register(tools: Toolbox, tool_url: str, lms_url: str, badgr_url: str, lms: LmsState) -> Webhook:
    now = datetime.now(UTC)
    platform = PlatformData(
        name="Sandbox LMS",
        issuer=lms_url,
        client_id=CLIENT_ID,
        deployment_ids=(DEPLOYMENT_ID,),
        auth_login_url=f"{lms_url}/lti/auth",
        auth_token_url=f"{lms_url}/lti/token",
        jwks_url=f"{lms_url}/lti/jwks",
        auth_audience=None,
    )
    platform_id = registration.add_platform(tools, platform, now)
    config = BadgrConfig()
    server = BadgrServerData("Sandbox Badgr", badgr_url, badgr_url, config.client_id, config.client_secret)
    badgr_servers.save(tools, server, now, check=False)
    source = sources.add(tools, platform_id, "standard", SourceData("Gradebook", {}), now)
    lms.register_tool(
        login_url=f"{tool_url}/lti/login",
        launch_url=f"{tool_url}/lti/launch",
        jwks_url=f"{tool_url}/lti/jwks.json",
        client_id=CLIENT_ID,
        deployment_id=DEPLOYMENT_ID,
    )
    lms.webhook = Webhook(f"{tool_url}/webhooks/{source.public_id}", source.secret)
    return lms.webhook
