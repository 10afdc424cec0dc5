"""Deliveries that name somebody who is erased: found however they name them, and kept for the others in them."""

import base64
import json
import uuid
from typing import Any

import pytest
from sqlalchemy import select, update

from lti_tool.domain.criteria import ScoreAtLeast
from lti_tool.domain.events import ActivityRef, GradeEvent, GradeFact, Identifier, IdKind
from lti_tool.models import Activity, Deployment, Event, EventStatus, Person, Result, Rule, RuleStatus, Source
from lti_tool.services import erasure, intake, matching, sources
from lti_tool.services.sources import SourceData
from tests.scene import START, Scene


@pytest.fixture
def scene(scene: Scene) -> Scene:
    scene.rule(ScoreAtLeast(scene.activity("quiz"), 80))
    return scene


def statement(address: str) -> dict[str, Any]:
    return {
        "id": str(uuid.uuid4()),
        "actor": {"objectType": "Agent", "mbox": f"mailto:{address}"},
        "verb": {"id": "http://adlnet.gov/expapi/verbs/scored"},
        "object": {"id": "quiz"},
        "result": {"score": {"raw": 9, "max": 10}},
        "context": {"contextActivities": {"grouping": [{"id": "https://example.org/courses/101"}]}},
        "timestamp": START.isoformat(),
    }


def send(scene: Scene, *statements: dict[str, Any]) -> int:
    """Post statements to an LRS that may match by address; the key of our event."""
    made = sources.add(scene.tools, scene.platform_id, "xapi", SourceData("X", {}, match_by_email=True), scene.now)
    token = base64.b64encode(f"any:{made.secret}".encode()).decode()
    headers = {"X-Experience-API-Version": "1.0.3", "Authorization": f"Basic {token}"}
    body = json.dumps(statements).encode()
    accepted = intake.accept(scene.tools, made.public_id, headers, {}, body, scene.now)
    assert accepted.event_id is not None
    intake.process(scene.tools, accepted.event_id, scene.now)
    scene.settle()
    return accepted.event_id


def erase(scene: Scene, sub: str) -> None:
    (person_id,) = scene.person_ids(sub)
    erasure.erase(scene.tools, person_id, "admin", scene.now)


def work(scene: Scene) -> list[int]:
    """Work on what is due; the keys of these events."""
    with scene.tools.database.read() as session:
        due = intake.due_events(session, scene.now)
    for event_id in due:
        intake.process(scene.tools, event_id, scene.now)
    scene.settle()
    return due


def event_of(scene: Scene, event_id: int) -> Event:
    with scene.tools.database.read() as session:
        return session.get_one(Event, event_id)


def test_an_address_is_found_however_it_is_written(scene: Scene) -> None:
    event_id = send(scene, statement("LEA@Example.org"))
    assert scene.statuses("lea") == ["pending"]
    erase(scene, "lea")
    assert event_of(scene, event_id).body == ""


def test_what_waits_by_address_waits_on_for_the_others(scene: Scene) -> None:
    send(scene, statement("lea@example.org"), statement("new@example.org"))
    erase(scene, "lea")
    (rest,) = work(scene)
    assert event_of(scene, rest).status is EventStatus.UNMATCHED
    scene.enrol("new")
    intake.process(scene.tools, rest, scene.now)
    scene.settle()
    assert scene.statuses("new") == ["pending"]
    # And once more, by hand; or is taken out in its turn.
    sources.replay(scene.tools, event_of(scene, rest).source_id, "admin", scene.now, event_id=rest)
    assert work(scene) == [rest]
    erase(scene, "new")
    assert event_of(scene, rest).body == ""


def test_the_rest_stays_within_its_deployment(scene: Scene) -> None:
    """The other institution has a course of the same id, and is none of this source's."""
    with scene.tools.database.write() as session:
        other = Deployment(platform_id=scene.platform_id, deployment_id="2", created_at=START)
        session.add(other)
        session.execute(update(Source).values(deployment_id=scene.deployment_id))
        session.commit()
    own, scene.deployment_id = scene.deployment_id, other.id
    theirs = scene.add_course("555")
    scene.deployment_id = own
    scene.send(*(scene.tell(sub, "quiz", 9, context="555") for sub in ("lea", "ola")))
    erase(scene, "lea")
    assert len(work(scene)) == 1
    with scene.tools.database.read() as session:
        query = select(Result.id).join(Activity, Activity.id == Result.activity_id).where(Activity.course_id == theirs)
        assert session.scalars(query).all() == []


def test_the_rest_of_a_replay_is_still_a_part_of_it(scene: Scene) -> None:
    subs = [f"learner-{number}" for number in range(15)]
    scene.enrol(*subs)
    with scene.tools.database.write() as session:
        session.execute(update(Rule).values(status=RuleStatus.PAUSED))
        session.commit()
    scene.send(*(scene.tell(sub, "quiz", 9) for sub in subs))
    with scene.tools.database.write() as session:
        session.execute(update(Rule).values(status=RuleStatus.ACTIVE))
        session.commit()
    sources.replay(scene.tools, scene.source_id, "admin", scene.now)
    erase(scene, subs[0])
    work(scene)
    # So many at once wait for a person, as they would have without her.
    assert [scene.statuses(sub) for sub in subs[1:]] == [["held"]] * 14
    assert scene.run().status.value == "waiting"


def test_an_event_about_somebody_of_the_same_local_id_elsewhere_stays(scene: Scene) -> None:
    known, stranger = (Identifier(IdKind.CANVAS, f"{number}0000000000001") for number in (1, 9))
    local = Identifier(IdKind.SIS, "1001")
    with scene.tools.database.write() as session:
        lea = session.scalars(select(Person).where(Person.sub == "lea")).one()
        matching.learn_people(session, scene.platform_id, {lea: [known, local]})
        session.commit()
    here, quiz = (Identifier(IdKind.LTI, "101"),), ActivityRef("quiz", "quiz", "quiz")
    told = [GradeEvent(here, (who, local), quiz, GradeFact(scene.now, 9, 10)) for who in (known, stranger)]
    hers, theirs = (scene.send(one) for one in told)
    erase(scene, "lea")
    assert event_of(scene, hers).body == ""
    assert event_of(scene, theirs).body != ""
