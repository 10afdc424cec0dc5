"""Caliper: Canvas' documented envelope, events in the form of the specification, whose ids they bear."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from lti_tool.domain.events import (
    ActivityProgress,
    ActivityRef,
    GradeEvent,
    GradeFact,
    Identifier,
    IdKind,
    ProgressFact,
)
from lti_tool.sources import KINDS
from lti_tool.sources.kind import Delivery, MalformedError, SignatureError
from tests.unit.sources.sources_testing import SECRET, access, canvas_example, delivery, told

KIND = KINDS["caliper"]
AT = datetime(2026, 11, 25, 10, 15, 0, tzinfo=UTC)
COURSE, LEARNER = Identifier(IdKind.GUESS, "7c0f"), Identifier(IdKind.GUESS, "d5a1c7")


def envelope(*events: object) -> dict[str, Any]:
    return {
        "sensor": "https://example.edu/sensors/1",
        "sendTime": "2026-11-25T10:15:01.000Z",
        "dataVersion": "http://purl.imsglobal.org/ctx/caliper/v1p2",
        "data": list(events),
    }


def event(**members: Any) -> dict[str, Any]:
    """An event as in the information model of Caliper 1.2 (§4); a member of `...` is left out."""
    whole = {
        "@context": "http://purl.imsglobal.org/ctx/caliper/v1p2",
        "id": "urn:uuid:27734504-068d-4596-861c-2315be33a2a2",
        "type": "AssessmentEvent",
        "actor": {"id": "https://example.edu/users/d5a1c7", "type": "Person", "name": "Paula Person"},
        "action": "Submitted",
        "object": {"id": "https://example.edu/assess/1", "type": "Assessment", "name": "Quiz One"},
        "eventTime": "2026-11-25T10:15:00.000Z",
        "group": {"id": "https://example.edu/terms/1/courses/7c0f", "type": "CourseSection"},
    }
    return {name: value for name, value in (whole | members).items() if value is not ...}


def graded(**members: Any) -> dict[str, Any]:
    attempt = {
        "id": "https://example.edu/assess/1/users/d5a1c7/attempts/1",
        "type": "Attempt",
        "assignee": "https://example.edu/users/d5a1c7",
        "assignable": "https://example.edu/assess/1",
    }
    score = {"id": "https://example.edu/scores/1", "type": "Score", "maxScore": 15.0, "scoreGiven": 10.0}
    whole = {
        "type": "GradeEvent",
        "actor": {"id": "https://example.edu/grader", "type": "SoftwareApplication"},
        "action": "Graded",
        "object": attempt,
        "generated": score,
    }
    return event(**(whole | members))


def sent(*events: object) -> Delivery:
    return delivery(envelope(*events), {"authorization": f"Bearer {SECRET}"})


def only(item: object) -> GradeEvent:
    (found,) = told(KIND, sent(item))
    return found


def test_the_grade_that_canvas_documents_is_read() -> None:
    read = told(KIND, delivery(canvas_example("caliper_grade_change"), {"authorization": SECRET}))
    expected = GradeEvent(
        (Identifier(IdKind.CANVAS, "21070000000000565"),),
        (Identifier(IdKind.CANVAS, "21070000000000048"), Identifier(IdKind.SIS, "ABC.123")),
        ActivityRef("canvas:assignment:21070000000000355", "", "assignment"),
        grade=GradeFact(datetime(2019, 11, 1, 19, 11, 5, 222000, UTC), 5, 1),
    )
    assert read == [expected]


def test_a_grade_belongs_to_the_assignee_and_not_to_the_grader() -> None:
    expected = GradeEvent(
        (COURSE,),
        (LEARNER,),
        ActivityRef("https://example.edu/assess/1", "", "activity"),
        grade=GradeFact(AT, 10, 15),
    )
    assert only(graded()) == expected


def test_an_attempt_may_stand_in_the_score() -> None:
    attempt = graded()["object"]
    moved = graded(object=attempt["id"], generated=graded()["generated"] | {"attempt": attempt})
    assert only(moved) == only(graded())


@pytest.mark.parametrize("generated", [..., None, "https://example.edu/scores/1", {"type": "Score", "maxScore": 15}])
def test_a_grade_without_a_score_tells_nothing(generated: object) -> None:
    assert told(KIND, sent(graded(generated=generated))) == []


def test_a_maximum_of_nothing_is_none() -> None:
    grade = only(graded(generated={"scoreGiven": 1, "maxScore": 0})).grade
    assert grade is not None
    assert (grade.given, grade.maximum) == (1, None)


@pytest.mark.parametrize(
    ("kind", "action", "progress"),
    [
        ("AssessmentEvent", "Started", ActivityProgress.STARTED),
        ("AssessmentEvent", "Restarted", ActivityProgress.STARTED),
        ("AssessmentEvent", "Paused", ActivityProgress.STARTED),
        ("AssessmentEvent", "Resumed", ActivityProgress.STARTED),
        ("AssessmentEvent", "Submitted", ActivityProgress.SUBMITTED),
        ("AssignableEvent", "Started", ActivityProgress.STARTED),
        ("AssignableEvent", "Submitted", ActivityProgress.SUBMITTED),
        ("AssignableEvent", "Completed", ActivityProgress.COMPLETED),
        (
            "http://purl.imsglobal.org/caliper/v1/AssignableEvent",
            "http://purl.imsglobal.org/vocab/caliper/v1/action#Completed",
            ActivityProgress.COMPLETED,
        ),
    ],
)
def test_progress_is_read(kind: str, action: str, progress: ActivityProgress) -> None:
    expected = GradeEvent(
        (COURSE,),
        (LEARNER,),
        ActivityRef("https://example.edu/assess/1", "Quiz One", "quiz"),
        progress=ProgressFact(AT, progress),
    )
    assert only(event(type=kind, action=action)) == expected


def test_an_attempt_that_was_handed_in_names_its_activity_and_its_learner() -> None:
    # As Canvas sends quiz_submitted; the actor may be a teacher who acts for somebody.
    attempt = {
        "id": "urn:instructure:canvas:submission:11210000013995723",
        "type": "Attempt",
        "assignee": {"id": "urn:instructure:canvas:user:21070000000987123", "type": "Person"},
        "assignable": {"id": "urn:instructure:canvas:quiz:11210000002223333", "type": "Assessment"},
    }
    found = only(event(object=attempt))
    assert found.activity == ActivityRef("canvas:quiz:11210000002223333", "", "quiz")
    assert found.person == (Identifier(IdKind.CANVAS, "21070000000987123"),)


@pytest.mark.parametrize(
    "item",
    [
        event(type="SessionEvent", action="LoggedIn"),
        event(type="AssignableEvent", action="Activated"),
        event(type="AssignableEvent", action="Reviewed"),
        event(type="AssessmentItemEvent", action="Completed"),
        {"id": "https://example.edu/users/d5a1c7", "type": "Person", "name": "Paula Person"},
    ],
)
def test_other_events_and_entities_tell_nothing_and_are_not_kept(item: dict[str, Any]) -> None:
    payload = KIND.verify(sent(item), access())
    assert KIND.parse(payload) == []
    assert b"Paula" not in payload
    assert b"eventTime" not in payload


def test_several_events_come_in_one_envelope() -> None:
    read = told(KIND, sent(event(), event(type="SessionEvent", action="LoggedIn"), graded()))
    assert [found.grade is not None for found in read] == [False, True]


def test_entities_may_be_named_by_their_iri_alone() -> None:
    bare = event(
        actor="https://example.edu/users/d5a1c7",
        object="https://example.edu/assess/1",
        group="https://example.edu/terms/1/courses/7c0f",
    )
    found = only(bare)
    assert (found.course, found.person) == ((COURSE,), (LEARNER,))
    assert found.activity == ActivityRef("https://example.edu/assess/1", "", "activity")


def test_other_identifiers_say_what_they_are_and_addresses_come_last() -> None:
    actor = {
        "id": "https://example.edu/users/d5a1c7",
        "otherIdentifiers": [
            {"type": "SystemIdentifier", "identifierType": "EmailAddress", "identifier": "paula@example.edu"},
            {"type": "SystemIdentifier", "identifierType": "SisSourcedId", "identifier": "S-1"},
            {"type": "SystemIdentifier", "identifierType": "LtiUserId", "identifier": "a-sub"},
            {"type": "SystemIdentifier", "identifierType": "Other", "identifier": "x"},
        ],
    }
    assert only(event(actor=actor)).person == (
        Identifier(IdKind.LTI, "a-sub"),
        Identifier(IdKind.SIS, "S-1"),
        LEARNER,
        Identifier(IdKind.EMAIL, "paula@example.edu"),
    )


def launch(**parameters: Any) -> dict[str, Any]:
    return {
        "id": "urn:uuid:1c519ff7-3dfa-4764-be48-d2fb35a2925a",
        "type": "LtiSession",
        "messageParameters": parameters,
    }


@pytest.mark.parametrize(
    "parameters",
    [
        {"sub": "a-sub", "https://purl.imsglobal.org/spec/lti/claim/context": {"id": "a-context"}},
        {"user_id": "a-sub", "context_id": "a-context", "lti_version": "LTI-1p0"},
    ],
)
def test_the_launch_names_course_and_actor_first(parameters: dict[str, Any]) -> None:
    found = only(event(federatedSession=launch(**parameters)))
    assert found.course == (Identifier(IdKind.LTI, "a-context"), COURSE)
    assert found.person == (Identifier(IdKind.LTI, "a-sub"), LEARNER)


def test_the_launch_of_a_grader_does_not_name_the_learner() -> None:
    found = only(graded(federatedSession=launch(sub="the-grader", context_id="a-context")))
    assert found.person == (LEARNER,)
    assert found.course[0] == Identifier(IdKind.LTI, "a-context")


def test_the_launch_of_who_acts_for_a_learner_does_not_name_the_learner() -> None:
    attempt = graded()["object"] | {"assignee": "https://example.edu/users/another"}
    found = only(event(object=attempt, federatedSession=launch(sub="the-actor")))
    assert found.person == (Identifier(IdKind.GUESS, "another"),)


def test_blackboard_names_people_and_courses_by_their_sis_ids_too() -> None:
    # Members as in Blackboard's documentation of its Caliper events.
    site = "https://caliper-mapping.cloudbb.blackboard.com/v1/sites/a118bba8"
    actor = {
        "id": f"{site}/users/ffc08009f0884c059192bac549e117b2",
        "extensions": {"bb:user.id": "_1_1", "bb:user.externalId": "jstudent9"},
    }
    group = {"id": f"{site}/courses/98743b77aaa94862b6fd8e2132b7b19d", "courseNumber": "LTI_TEST_1"}
    found = only(event(actor=actor, group=group))
    assert found.person == (
        Identifier(IdKind.SIS, "jstudent9"),
        Identifier(IdKind.GUESS, "ffc08009f0884c059192bac549e117b2"),
    )
    assert found.course == (
        Identifier(IdKind.SIS, "LTI_TEST_1"),
        Identifier(IdKind.GUESS, "98743b77aaa94862b6fd8e2132b7b19d"),
    )


def test_an_address_as_an_iri_is_an_address() -> None:
    found = only(event(actor="mailto:paula@example.edu"))
    assert found.person == (Identifier(IdKind.EMAIL, "paula@example.edu"),)


def test_without_a_group_the_membership_names_the_course() -> None:
    membership = {"id": "https://example.edu/m/1", "organization": "https://example.edu/terms/1/courses/7c0f"}
    assert only(event(group=..., membership=membership)).course == (COURSE,)


def test_names_are_not_kept_but_for_those_of_activities() -> None:
    payload = KIND.verify(sent(event()), access()).decode()
    assert "Paula" not in payload
    assert "Quiz One" in payload


@pytest.mark.parametrize(
    ("item", "field"),
    [
        (7, "data.1.body"),
        (event(eventTime=...), "data.1.eventTime"),
        (event(actor=...), "data.1.actor"),
        (event(actor=7), "data.1.actor"),
        (event(object={"type": "Assessment"}), "data.1.object.id"),
        (graded(generated={"scoreGiven": "ten"}), "data.1.generated.scoreGiven"),
        (event(id="x" * 256), "data.1.id"),
    ],
)
def test_a_wrong_field_is_refused_and_named(item: object, field: str) -> None:
    with pytest.raises(MalformedError) as refused:
        told(KIND, sent(event(), item))
    assert refused.value.advice.startswith(f"{field}: ")


@pytest.mark.parametrize(
    "item",
    [
        event(group=...),
        event(group="https://example.edu/courses/7"),
        event(actor="https://example.edu/user/profile.php?id=7"),
        event(object={"id": "https://example.edu/a", "type": "Attempt"}),
        graded(object="https://example.edu/a"),
        graded(object=graded()["object"] | {"assignable": None}),
    ],
)
def test_an_event_without_person_activity_or_course_is_left_out_and_the_others_are_read(item: object) -> None:
    """Caliper asks for none of them, and sends many events at once: the others must not be lost."""
    assert told(KIND, sent(item, event())) == [only(event())]


@pytest.mark.parametrize(
    "iri",
    [
        # Every system counts its people from 1, and an address may name a program.
        "https://example.edu/users/7",
        "https://example.edu/user/profile.php?id=7",
        "https://example.edu/",
        f"https://example.edu/{'x' * 256}",
        "https://[",
    ],
)
def test_a_number_or_a_program_is_not_taken_for_a_person(iri: str) -> None:
    actor = {"id": iri, "otherIdentifiers": [{"identifierType": "SisSourcedId", "identifier": "S-1"}]}
    assert only(event(actor=actor)).person == (Identifier(IdKind.SIS, "S-1"),)


@pytest.mark.parametrize("header", [f"Bearer {SECRET}", f"bearer  {SECRET}", SECRET])
def test_the_secret_comes_with_bearer_or_without(header: str) -> None:
    assert KIND.verify(delivery(envelope(event()), {"authorization": header}), access())


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer wrong", f"Basic {SECRET}", "\xff"])
def test_without_the_secret_an_envelope_is_refused(header: str) -> None:
    with pytest.raises(SignatureError):
        KIND.verify(delivery(envelope(event()), {"authorization": header}), access())


def test_one_event_gives_the_delivery_its_id_and_several_give_it_one_of_their_own() -> None:
    def name(*events: object) -> str:
        return KIND.delivery_id(sent(*events), KIND.verify(sent(*events), access()))

    assert name(event()) == "urn:uuid:27734504-068d-4596-861c-2315be33a2a2"
    assert name(event(), graded()) == name(event(), graded()) != name(graded(), event())
    assert name(event(id=...)) != name(event(id=..., action="Started"))


def test_the_stored_payload_is_read_as_what_was_sent() -> None:
    payload = KIND.verify(sent(event(), graded()), access())
    assert json.loads(payload)["data"][0]["id"] == "urn:uuid:27734504-068d-4596-861c-2315be33a2a2"
    assert KIND.parse(payload) == KIND.parse(json.dumps(envelope(event(), graded())).encode())
