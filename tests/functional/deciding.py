"""What the tests of decisions and explanations share: rules as drafts say, and answers of forms with many boxes."""

from datetime import UTC, datetime
from typing import Any

import requests
from sqlalchemy import select

from lti_tool.domain.criteria import Criteria
from lti_tool.models import Activity, Award, AwardRun, Person, Rule
from lti_tool.sandbox.visitor import Visitor
from lti_tool.services import rules
from lti_tool.services.drafts import Draft
from tests.world import TEACHER, World

COURSE = 1


def activity(world: World, title: str, course_id: int = COURSE) -> int:
    """Our key of an activity."""
    with world.tools.database.read() as session:
        query = select(Activity.id).where(Activity.title == title, Activity.course_id == course_id)
        return session.scalars(query).one()


def person(world: World, sub: str) -> int:
    """Our key of a person."""
    with world.tools.database.read() as session:
        return session.scalars(select(Person.id).where(Person.sub == sub)).one()


def awards(world: World) -> list[Award]:
    """Every award, the oldest first."""
    with world.tools.database.read() as session:
        return list(session.scalars(select(Award).order_by(Award.id)))


def statuses(world: World) -> list[str]:
    """Where every award stands."""
    return [award.status.value for award in awards(world)]


def newest_run(world: World) -> AwardRun:
    """The run that was begun last."""
    with world.tools.database.read() as session:
        return session.scalars(select(AwardRun).order_by(AwardRun.id.desc())).first() or AwardRun()


def rule_status(world: World, rule_id: int = 1) -> str:
    """The status of a rule."""
    with world.tools.database.read() as session:
        return session.get_one(Rule, rule_id).status.value


def drafted_course(world: World, criteria: Criteria | None = None, **options: Any) -> Visitor:
    """A connected course with a rule that is not switched on; Quiz 1 at 80 % when nothing else is asked."""
    world.announce()
    teacher = world.launch(TEACHER)
    world.connect(teacher)
    world.make_rule(teacher)
    told = Draft(criteria or rule_criteria(world), **options)
    rules.edit(world.tools, COURSE, 1, person(world, TEACHER), told, datetime.now(UTC))
    return teacher.open(world.course_url(teacher) + "rules/1")


def switched_on(world: World, criteria: Criteria | None = None, **options: Any) -> Visitor:
    """The same, switched on for everything, and everything done that this brings."""
    teacher = drafted_course(world, criteria, **options)
    teacher.submit("/activate", {"scope": "all"})
    world.work()
    return teacher


def rule_criteria(world: World, rule_id: int = 1) -> Criteria:
    """What a rule asks for."""
    with world.tools.database.read() as session:
        return session.get_one(Rule, rule_id).criteria


def send(visitor: Visitor, path: str, **values: Any) -> requests.Response:
    """Send a form of many boxes from the present page, and follow; lists are several boxes of a name."""
    token = visitor.page.select_one("input[name=csrf_token]")["value"]
    base = visitor.url.partition("/courses/")[0] + f"/courses/{COURSE}/"
    answer: requests.Response = visitor.browser.session.post(
        base + path, data=values | {"csrf_token": token}, headers={"Referer": visitor.url}, timeout=30
    )
    return answer


def words(answer: requests.Response) -> str:
    """The words of an answer, as they stand in its source, with single spaces."""
    return " ".join(answer.text.split())
