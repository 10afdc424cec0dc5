"""What real LMSs send, all the way: over HTTP, by whatever id, to an award for the right person."""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import requests
from sqlalchemy import select, update

from lti_tool.domain.criteria import Completed, Criteria, PointsAtLeast, ScoreAtLeast
from lti_tool.domain.events import ActivityRef, GradeEvent, GradeFact, Identifier, IdKind
from lti_tool.errors import InvalidInputError
from lti_tool.models import Award, Course, Deployment, Event, EventStatus, Person, PersonAlias, Source
from lti_tool.services import activities, health, matching, pulls, registration, rules, sources
from lti_tool.services.drafts import Draft
from lti_tool.services.sources import SourceData, SourceSecret
from tests.scene import remote_badge
from tests.world import CLOSE, EARLY, LEARNER, TEACHER, World

RECORDED = Path(__file__).parent.parent / "contract" / "canvas"
# The course and the learner of Canvas' examples (tests/contract/canvas).
CANVAS_COURSE, CANVAS_LEARNER = "21070000000000565", "21070000000000048"


def add_source(world: World, kind: str, **options: str) -> SourceSecret:
    now = datetime.now(UTC)
    return sources.add(world.tools, 1, kind, SourceData(kind, options), now)


def rule_for(world: World, activity: ActivityRef, make: Any) -> None:
    """A course with a rule about one activity of a source, switched on."""
    teacher = world.launch(TEACHER)
    world.connect(teacher)
    now = datetime.now(UTC)
    with world.tools.database.write() as session:
        course = session.get_one(Course, 1)
        key = activities.find(session, course, [activity], now)[activity].id
        session.commit()
    criteria: Criteria = make(key)
    rule_id = rules.create(world.tools, 1, 1, remote_badge("Algebra"), Draft(criteria), now)
    rules.activate(world.tools, 1, rule_id, 1, now, also_earned_before=True)


def learn(world: World, person: Mapping[IdKind, str], course: Mapping[IdKind, str]) -> None:
    """What launches and the course list would have told."""
    with world.tools.database.write() as session:
        found = session.scalars(select(Person).where(Person.sub == LEARNER)).one()
        matching.learn_people(session, 1, {found: [Identifier(kind, value) for kind, value in person.items()]})
        ids = [Identifier(kind, value) for kind, value in course.items()]
        matching.learn_course(session, session.get_one(Course, 1), 1, ids)
        session.commit()


def post(world: World, source: SourceSecret, body: Any, path: str = "", **more: Any) -> requests.Response:
    url = f"{world.tool_url}/webhooks/{source.public_id}{path}"
    sent: dict[str, Any] = {"headers": {"Content-Type": "application/json"}} | more
    return requests.post(url, data=json.dumps(body), timeout=10, **sent)


def only_event(world: World, source: SourceSecret) -> Event:
    with world.tools.database.read() as session:
        query = select(Event).join(Source).where(Source.public_id == source.public_id)
        return session.scalars(query).one()


def recorded(name: str) -> Any:
    return json.loads((RECORDED / name).read_text())


def test_a_grade_in_canvas_is_for_the_person_of_its_global_id(world: World) -> None:
    assignment = ActivityRef("canvas:assignment:21070000000000355", "Essay", "assignment")
    rule_for(world, assignment, lambda key: ScoreAtLeast(key, 100))
    source = add_source(world, "canvas")
    told = post(world, source, recorded("grade_change.json"), params={"key": source.secret})
    assert told.status_code == 202
    world.work()
    assert only_event(world, source).status is EventStatus.UNMATCHED
    # The launch of the learner tells who that is; the event is worked on by itself.
    learn(world, {IdKind.CANVAS: CANVAS_LEARNER}, {IdKind.CANVAS: CANVAS_COURSE})
    world.work()
    assert only_event(world, source).status is EventStatus.PROCESSED
    assert world.award_of(LEARNER).steps[0].event_id == only_event(world, source).id


def test_a_muted_grade_in_canvas_awards_nothing(world: World) -> None:
    assignment = ActivityRef("canvas:assignment:21070000000000355", "Essay", "assignment")
    rule_for(world, assignment, lambda key: ScoreAtLeast(key, 100))
    learn(world, {IdKind.CANVAS: CANVAS_LEARNER}, {IdKind.CANVAS: CANVAS_COURSE})
    source = add_source(world, "canvas")
    muted = recorded("grade_change.json")
    muted["body"]["muted"] = True
    post(world, source, muted, params={"key": source.secret})
    world.work()
    assert only_event(world, source).status is EventStatus.PROCESSED
    with world.tools.database.read() as session:
        assert session.scalars(select(Award)).all() == []


def test_a_completed_course_in_canvas_is_matched_by_local_ids(world: World) -> None:
    rule_for(world, ActivityRef("canvas:course", "The course", "course"), Completed)
    learn(world, {IdKind.CANVAS_LOCAL: "123"}, {IdKind.CANVAS_LOCAL: "565"})
    source = add_source(world, "canvas")
    assert post(world, source, recorded("course_completed.json"), params={"key": source.secret}).status_code == 202
    world.work()
    assert world.award_of(LEARNER).reasons[0]["detail"] == "Completed."


def test_canvas_without_its_secret_is_refused(world: World) -> None:
    source = add_source(world, "canvas")
    assert post(world, source, recorded("grade_change.json")).status_code == 401
    assert post(world, source, recorded("grade_change.json"), params={"key": "wrong"}).status_code == 401


def test_caliper_is_read(world: World) -> None:
    assignment = ActivityRef("canvas:assignment:21070000000000355", "Essay", "assignment")
    rule_for(world, assignment, lambda key: ScoreAtLeast(key, 100))
    learn(world, {IdKind.CANVAS: CANVAS_LEARNER}, {IdKind.CANVAS: CANVAS_COURSE})
    source = add_source(world, "caliper")
    headers = {"Authorization": f"Bearer {source.secret}", "Content-Type": "application/json"}
    assert post(world, source, recorded("caliper_grade_change.json"), headers=headers).status_code == 202
    world.work()
    assert world.award_of(LEARNER).reasons[0]["met"]


def test_moodle_is_read_and_its_token_is_not_kept(world: World) -> None:
    rule_for(world, ActivityRef("moodle:item:2", "Quiz", "grade_item"), lambda key: PointsAtLeast(key, 70))
    source = add_source(world, "moodle")
    # As a real Moodle with local_webhooks sent it (LMS.md §5.7).
    told = {
        "eventname": "\\core\\event\\user_graded", "component": "core", "action": "graded", "target": "user",
        "objecttable": "grade_grades", "objectid": "11", "crud": "u", "edulevel": 1, "contextid": 33,
        "contextlevel": 50, "contextinstanceid": "2", "userid": "3", "courseid": "2", "relateduserid": LEARNER,
        "anonymous": 0, "other": {"itemid": "2", "overridden": False, "finalgrade": "71.00000"},
        "timecreated": 1795458886, "host": "127.0.0.1", "token": source.secret, "extra": "bench-extra",
    }  # fmt: skip
    assert post(world, source, told).status_code == 202
    world.work()
    assert world.award_of(LEARNER).reasons[0]["detail"] == "71 points reached, 70 points needed."
    assert source.secret not in only_event(world, source).body
    assert post(world, source, told | {"token": "wrong"}).status_code == 401


def test_a_course_passed_in_open_edx_is_read(world: World) -> None:
    rule_for(world, ActivityRef("openedx:course", "The course", "course"), Completed)
    learn(world, {IdKind.USERNAME: "lea"}, {})
    source = add_source(world, "openedx")
    told = {
        "openedx_events.learning.data.CoursePassingStatusData": {
            "is_passing": True,
            "course": {"course_key": "2", "display_name": "Biology"},
            "user": {"id": 7, "is_active": True, "pii": {"username": "lea", "email": "x@example.org", "name": "Lea"}},
        },
        "event_metadata": {
            "id": "0a1b2c3d-0000-0000-0000-000000000001",
            "event_type": "org.openedx.learning.course.passing.status.updated.v1",
            "time": "2026-11-24T10:00:00+00:00",
            "source": "openedx/lms/web",
            "sourcehost": "lms",
        },
    }
    assert post(world, source, told, params={"key": source.secret}).status_code == 202
    world.work()
    assert world.award_of(LEARNER).reasons[0]["detail"] == "Completed."
    with world.tools.database.read() as session:
        # Another of its events names people by their number alone.
        assert session.scalars(select(PersonAlias.value).where(PersonAlias.kind == IdKind.NUMBER)).one() == "7"


def test_xapi_is_answered_as_by_a_learning_record_store(world: World) -> None:
    source = add_source(world, "xapi")
    pair = base64.b64encode(f"moodle:{source.secret}".encode()).decode()
    headers = {
        "Authorization": f"Basic {pair}", "Content-Type": "application/json", "X-Experience-API-Version": "1.0.3",
    }  # fmt: skip
    statement = {
        "id": "fd41c918-b88b-4b20-a0a5-a4c32391aaa0",
        "timestamp": "2026-11-24T10:00:00Z",
        "actor": {"account": {"homePage": "https://lms.example", "name": LEARNER}},
        "verb": {"id": "http://adlnet.gov/expapi/verbs/completed"},
        "object": {"id": "https://lms.example/mod/quiz/view.php?id=9", "definition": {"name": {"en": "Quiz"}}},
        "context": {
            "contextActivities": {
                "grouping": [
                    {
                        "id": "https://lms.example/course/view.php?id=2",
                        "definition": {"type": "http://id.tincanapi.com/activitytype/lms/course"},
                    }
                ]
            }
        },
    }
    told = post(world, source, [statement], "/statements", headers=headers)
    assert (told.status_code, told.json()) == (200, [statement["id"]])
    assert told.headers["X-Experience-API-Version"] == "1.0.3"
    url = f"{world.tool_url}/webhooks/{source.public_id}"
    again = requests.put(
        f"{url}/statements", params={"statementId": statement["id"]}, json=statement, headers=headers, timeout=10
    )
    assert (again.status_code, again.text) == (204, "")
    assert requests.get(f"{url}/about", timeout=10).json() == {"version": ["1.0.3"]}
    world.work()
    assert only_event(world, source).outcome is not None


def test_a_delivery_about_something_else_is_taken_and_not_kept(world: World) -> None:
    source = add_source(world, "canvas")
    other = recorded("grade_change.json")
    other["metadata"]["event_name"] = "discussion_entry_created"
    told = post(world, source, other, params={"key": source.secret})
    assert (told.status_code, told.json()) == (202, {"id": None, "ignored": True})
    with world.tools.database.read() as session:
        assert session.scalars(select(Event)).all() == []


def test_an_id_that_no_database_can_keep_is_refused(world: World) -> None:
    source = add_source(world, "canvas")
    bad = recorded("grade_change.json")
    bad["body"]["student_id"] = "1\x002"
    assert post(world, source, bad, params={"key": source.secret}).status_code == 400


def test_a_grade_in_moodle_counts_only_when_the_gradebook_shows_it_to_the_learner(world: World) -> None:
    rule_for(world, ActivityRef("moodle:item:2", "Quiz", "grade_item"), lambda key: PointsAtLeast(key, 70))
    source = add_source(world, "moodle", site_url="http://127.0.0.1:9", ws_token="t")
    told = {
        "eventname": "\\core\\event\\user_graded", "objectid": "11", "userid": "3", "courseid": "2",
        "relateduserid": LEARNER, "other": {"itemid": "2", "finalgrade": "71.00000"}, "timecreated": 1795458886,
        "host": "127.0.0.1", "token": source.secret,
    }  # fmt: skip
    assert post(world, source, told | {"is_open": True}).status_code == 202
    world.work()
    with world.tools.database.read() as session:
        assert session.scalars(select(Award)).all() == []
    at = datetime.fromtimestamp(1795458886, UTC)
    shown = GradeEvent(
        (Identifier(IdKind.LTI, "2"),),
        (Identifier(IdKind.LTI, LEARNER),),
        ActivityRef("moodle:item:2", "Quiz 1", "quiz"),
        GradeFact(at, 71, 100),
    )
    with world.tools.database.write() as session:
        pulls.keep(session, world.tools, session.get_one(Course, 1), [shown], {}, datetime.now(UTC))
        session.commit()
    world.work()
    assert world.award_of(LEARNER).reasons[0]["met"]


def test_the_address_of_a_moodle_must_be_a_whole_one(world: World) -> None:
    with pytest.raises(InvalidInputError, match="Address of the Moodle site"):
        add_source(world, "moodle", site_url="moodle.example")


def test_an_lms_that_is_switched_off_is_not_listened_to(world: World) -> None:
    world.ready_course()
    waits = world.grade(CLOSE, score=10)
    assert waits.status == 202
    registration.set_enabled(world.tools, 1, datetime.now(UTC), enabled=False)
    assert world.grade(EARLY, score=10).status == 404
    world.sweep()
    with world.tools.database.read() as session:
        assert session.scalars(select(Event.status).order_by(Event.id.desc())).first() is EventStatus.RECEIVED
        assert session.scalar(select(Award.id).join(Person).where(Person.sub == CLOSE)) is None
    registration.set_enabled(world.tools, 1, datetime.now(UTC), enabled=True)
    world.sweep()
    assert world.award_of(CLOSE).rule_id == 1


def statement(**more: Any) -> dict[str, Any]:
    """A statement about something that earns no badges."""
    told = {
        "id": str(uuid4()),
        "actor": {"account": {"homePage": "https://lms.example", "name": LEARNER}},
        "verb": {"id": "http://id.tincanapi.com/verb/viewed"},
        "object": {"id": "https://lms.example/mod/quiz/view.php?id=9"},
    }
    return told | more


def as_lrs(source: SourceSecret) -> dict[str, str]:
    pair = base64.b64encode(f"moodle:{source.secret}".encode()).decode()
    headers = {"Authorization": f"Basic {pair}", "Content-Type": "application/json"}
    return headers | {"X-Experience-API-Version": "1.0.3"}


def test_statements_about_something_else_are_answered_like_the_others(world: World) -> None:
    source = add_source(world, "xapi")
    viewed = statement()
    told = post(world, source, [viewed], "/statements", headers=as_lrs(source))
    assert (told.status_code, told.json()) == (200, [viewed["id"]])
    url = f"{world.tool_url}/webhooks/{source.public_id}/statements"
    query = {"statementId": viewed["id"]}
    put = requests.put(url, params=query, json=viewed, headers=as_lrs(source), timeout=10)
    assert (put.status_code, put.text) == (204, "")
    with world.tools.database.read() as session:
        assert session.scalars(select(Event)).all() == []


def test_another_statement_of_the_same_id_is_refused(world: World) -> None:
    source = add_source(world, "xapi")
    course = {"contextActivities": {"grouping": [{"id": "https://lms.example/course/view.php?id=2"}]}}
    done = statement(verb={"id": "http://adlnet.gov/expapi/verbs/completed"}, context=course)

    def send(told: dict[str, Any]) -> int:
        return post(world, source, [told], "/statements", headers=as_lrs(source)).status_code

    # It has no time: the tool gives it one, another each time.
    assert [send(done), send(done)] == [200, 200]
    assert send(done | {"result": {"success": False}}) == 409
    assert only_event(world, source).repeats == 2
    assert "success" not in only_event(world, source).body


def test_every_answer_to_statements_says_the_version(world: World) -> None:
    source = add_source(world, "xapi")
    old = post(
        world, source, [statement()], "/statements", headers=as_lrs(source) | {"X-Experience-API-Version": "0.9"}
    )
    nobody = requests.post(f"{world.tool_url}/webhooks/nobody/statements", json=[], timeout=10)
    asked = requests.get(f"{world.tool_url}/webhooks/{source.public_id}/statements", timeout=10)
    assert [old.status_code, nobody.status_code, asked.status_code] == [400, 404, 405]
    assert {told.headers.get("X-Experience-API-Version") for told in (old, nobody, asked)} == {"1.0.3"}


def test_a_source_that_speaks_of_other_things_is_not_silent(world: World) -> None:
    source = add_source(world, "canvas")
    with world.tools.database.write() as session:
        session.execute(update(Source).values(alarm_after_hours=1))
        session.commit()
    other = recorded("grade_change.json")
    other["metadata"]["event_name"] = "logged_in"

    def heard() -> datetime | None:
        with world.tools.database.read() as session:
            found = session.scalars(select(Source).where(Source.public_id == source.public_id)).one()
            return health.heard_at(session, found)

    assert heard() is None
    assert post(world, source, other, params={"key": source.secret}).status_code == 202
    first = heard()
    assert first is not None
    # To the minute: not each of thousands is worth a row.
    assert post(world, source, other, params={"key": source.secret}).status_code == 202
    assert heard() == first
    with world.tools.database.read() as session:
        assert health.silent_sources(session, first + timedelta(minutes=59)) == []
        assert len(health.silent_sources(session, first + timedelta(minutes=61))) == 1


@pytest.mark.parametrize(
    ("options", "missing"),
    [
        ({"ws_token": "t"}, "Address of the Moodle site: is needed with “Token of the web service”"),
        ({"site_url": "http://127.0.0.1:9"}, "Token of the web service: is needed with “Address of the Moodle site”"),
    ],
)
def test_an_address_and_a_token_go_together(world: World, options: dict[str, str], missing: str) -> None:
    with pytest.raises(InvalidInputError, match=missing):
        add_source(world, "moodle", **options)


def test_who_takes_the_address_away_takes_the_token_away(world: World) -> None:
    added = add_source(world, "moodle", site_url="http://127.0.0.1:9", ws_token="t")
    sources.change(world.tools, added.id, SourceData("Moodle", {"site_url": ""}), "test", datetime.now(UTC))
    with world.tools.database.read() as session:
        assert sources.options_of(world.tools.vault, session.get_one(Source, added.id)) == {}


@pytest.mark.parametrize("where", ["at another source", "of another course"])
def test_a_grade_waits_for_the_gradebook_exactly_where_one_is_read(world: World, where: str) -> None:
    """Whichever source has the token: what counts is whether the gradebook of the course can be read."""
    rule_for(world, ActivityRef("moodle:item:2", "Quiz", "grade_item"), lambda key: PointsAtLeast(key, 70))
    options = {"site_url": "http://127.0.0.1:9", "ws_token": "t"}
    elsewhere = None
    if where == "of another course":
        with world.tools.database.write() as session:
            other = Deployment(platform_id=1, deployment_id="9", created_at=datetime.now(UTC))
            session.add(other)
            session.commit()
            elsewhere = other.id
    sources.add(world.tools, 1, "moodle", SourceData("m", options, deployment_id=elsewhere), datetime.now(UTC))
    source = add_source(world, "moodle")
    told = {
        "eventname": "\\core\\event\\user_graded", "objectid": "11", "userid": "3", "courseid": "2",
        "relateduserid": LEARNER, "other": {"itemid": "2", "finalgrade": "71.00000"}, "timecreated": 1795458886,
        "token": source.secret,
    }  # fmt: skip
    assert post(world, source, told).status_code == 202
    world.work()
    with world.tools.database.read() as session:
        assert bool(session.scalars(select(Award)).all()) is (where == "of another course")
