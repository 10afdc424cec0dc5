"""xAPI: statements of logstore_xapi and of others, and the answers of a Learning Record Store."""

import base64
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

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
from lti_tool.sources.kind import Answer, Delivery, MalformedError, SignatureError
from tests.unit.sources.sources_testing import NOW, SECRET, access, delivery, told

KIND = KINDS["xapi"]
ID = "fd41c918-b88b-4b20-a0a5-a4c32391aaa0"
AT = datetime(2026, 11, 25, 9, 30, tzinfo=UTC)
MOODLE = "https://moodle.example.org"
INFO = "http://lrs.learninglocker.net/define/extensions/info"
VERB = "http://adlnet.gov/expapi/verbs/"


def headers(**changes: str) -> dict[str, str]:
    password = base64.b64encode(f"moodle:{SECRET}".encode()).decode()
    found = {"authorization": f"Basic {password}", "x-experience-api-version": "1.0.3"}
    return found | {name.replace("_", "-"): value for name, value in changes.items()}


def statement(**members: Any) -> dict[str, Any]:
    """A statement in the shape of logstore_xapi's (as its own tests expect them); a member of `...` is left out."""
    site = {"id": MOODLE, "definition": {"type": "http://id.tincanapi.com/activitytype/lms"}}
    course = {
        "id": f"{MOODLE}/course/view.php?id=2",
        "definition": {"type": "http://id.tincanapi.com/activitytype/lms/course", "name": {"en": "Biology"}},
    }
    whole = {
        "id": ID,
        "actor": {"name": "Paula Person", "account": {"homePage": MOODLE, "name": "8"}},
        "verb": {"id": VERB + "completed", "display": {"en": "completed"}},
        "object": {
            "id": f"{MOODLE}/mod/book/view.php?id=17",
            "definition": {"type": "http://id.tincanapi.com/activitytype/lms/module", "name": {"en": "The cell"}},
        },
        "timestamp": "2026-11-25T10:30:00+01:00",
        "context": {
            "platform": "Moodle",
            "extensions": {INFO: {"event_name": "\\core\\event\\course_module_completion_updated"}},
            "contextActivities": {"grouping": [site, course]},
        },
    }
    return {name: value for name, value in (whole | members).items() if value is not ...}


def verb(word: str, **members: Any) -> dict[str, Any]:
    return statement(verb={"id": VERB + word}, **members)


def elsewhere(**members: Any) -> dict[str, Any]:
    """A statement of another system: no types, one place around the activity."""
    whole = {
        "object": {"id": "https://lab.example.org/tasks/9", "definition": {"name": {"de": "Mikroskop"}}},
        "context": {"contextActivities": {"parent": {"id": "https://lab.example.org/courses/bio-1"}}},
    }
    return statement(**(whole | members))


def sent(body: object, **query: str) -> Delivery:
    return delivery(body, headers(), **query)


def only(item: object) -> GradeEvent:
    (found,) = told(KIND, sent([item]))
    return found


def test_a_completion_of_moodle_is_read() -> None:
    expected = GradeEvent(
        (Identifier(IdKind.LTI, "2"),),
        (Identifier(IdKind.LTI, "8"),),
        ActivityRef("moodle:cm:17", "The cell", "book"),
        progress=ProgressFact(AT, ActivityProgress.COMPLETED),
    )
    assert only(statement()) == expected


def test_the_completion_of_a_course_is_read() -> None:
    course = {"id": f"{MOODLE}/course/view.php?id=2", "definition": {"name": {"en": "Biology"}}}
    found = only(statement(object=course, context={}, verb={"id": "http://id.tincanapi.com/verb/completed"}))
    assert found.course == (Identifier(IdKind.LTI, "2"),)
    assert found.activity == ActivityRef("moodle:course", "Biology", "course")
    assert found.progress == ProgressFact(AT, ActivityProgress.COMPLETED)


def test_a_grade_of_moodle_is_a_grade_and_no_completion() -> None:
    # logstore_xapi says “completion” with every grade, whatever the settings of the activity.
    assign = {"id": f"{MOODLE}/mod/assign/view.php?id=18", "definition": {"name": {"en": "Essay"}}}
    result = {"score": {"raw": 1, "min": 0, "max": 2, "scaled": 0.5}, "completion": True, "success": True}
    found = only(verb("scored", object=assign, result=result | {"response": "well done"}))
    assert found.activity == ActivityRef("moodle:cm:18", "Essay", "assignment")
    assert found.grade == GradeFact(AT, 1, 2)
    assert found.progress is None


def test_an_attempt_that_was_handed_in_is_no_completion() -> None:
    context = statement()["context"] | {"extensions": {INFO: {"event_name": "\\mod_quiz\\event\\attempt_submitted"}}}
    result = {"score": {"raw": 50, "min": 0, "max": 100, "scaled": 0.5}, "completion": True, "success": True}
    found = only(statement(context=context, result=result))
    assert found.grade == GradeFact(AT, 50, 100)
    assert found.progress == ProgressFact(AT, ActivityProgress.SUBMITTED)


SCORE = {"score": {"scaled": 0.4}}


@pytest.mark.parametrize(
    ("word", "result", "progress"),
    [
        ("completed", {}, ActivityProgress.COMPLETED),
        ("completed", {"success": True}, ActivityProgress.COMPLETED),
        ("completed", {"success": False}, ActivityProgress.SUBMITTED),
        ("completed", {"completion": False}, ActivityProgress.IN_PROGRESS),
        ("passed", {}, ActivityProgress.COMPLETED),
        ("passed", {"completion": False}, ActivityProgress.STARTED),
        ("failed", SCORE, None),
        ("scored", SCORE, None),
        ("answered", SCORE, None),
        ("submitted", {}, ActivityProgress.SUBMITTED),
        ("submit", {}, ActivityProgress.SUBMITTED),
        ("uncompleted", {}, ActivityProgress.IN_PROGRESS),
    ],
)
def test_a_verb_says_how_far_somebody_is(word: str, result: dict[str, Any], progress: ActivityProgress | None) -> None:
    found = only(verb(word, result=result))
    assert found.progress == (ProgressFact(AT, progress) if progress else None)
    assert (found.grade is not None) == (result is SCORE)


@pytest.mark.parametrize(
    ("score", "given", "maximum"),
    [
        ({"raw": 8, "max": 10, "scaled": 0.1}, 8, 10),
        ({"raw": 8, "scaled": 0.8}, 0.8, 1),
        ({"scaled": 0.8}, 0.8, 1),
        ({"raw": 8}, 8, None),
        ({"raw": 8, "max": 0}, 8, None),
    ],
)
def test_a_score_is_read_as_far_as_it_is_told(score: dict[str, Any], given: float, maximum: float | None) -> None:
    assert only(verb("scored", result={"score": score})).grade == GradeFact(AT, given, maximum)


QUESTION = {
    "id": f"{MOODLE}/question/question.php?cmid=1&id=1",
    "definition": {"type": "http://adlnet.gov/expapi/activities/cmi.interaction"},
}


@pytest.mark.parametrize(
    "item",
    [
        verb("viewed"),
        verb("voided", object={"objectType": "StatementRef", "id": ID}),
        verb("failed"),
        verb("scored", result={"score": {}}),
        verb("answered", object=QUESTION, result=SCORE),
        statement(object={"objectType": "Agent", "mbox": "mailto:a@example.org"}),
        statement(actor={"objectType": "Group", "member": []}),
        statement(actor={"mbox_sha1sum": "abc"}),
        statement(context={}),
        statement(context={"contextActivities": {"grouping": [{"id": MOODLE}, {"id": f"{MOODLE}/x"}]}}),
    ],
)
def test_a_statement_about_something_else_tells_nothing(item: dict[str, Any]) -> None:
    assert told(KIND, sent([item])) == []


def test_of_another_system_course_and_activity_keep_their_iris() -> None:
    found = only(elsewhere())
    assert found.course == (
        Identifier(IdKind.LTI, "https://lab.example.org/courses/bio-1"),
        Identifier(IdKind.LTI, "bio-1"),
    )
    assert found.activity == ActivityRef("https://lab.example.org/tasks/9", "Mikroskop", "activity")


def test_an_address_names_a_person_last() -> None:
    actor = {"mbox": "mailto:paula@example.org", "account": {"homePage": MOODLE, "name": 8}}
    assert only(statement(actor=actor)).person == (
        Identifier(IdKind.LTI, "8"),
        Identifier(IdKind.EMAIL, "paula@example.org"),
    )


def test_people_of_another_home_page_are_not_looked_for() -> None:
    assert told(KIND, sent([statement()]), {"home_page": f"{MOODLE}/"})
    assert told(KIND, sent([statement()]), {"home_page": "https://other.example.org"}) == []


def test_names_answers_and_other_statements_are_not_kept() -> None:
    items = [statement(result={"response": "my answer"}), verb("viewed")]
    payload = KIND.verify(sent(items), access()).decode()
    for text in ("Paula", "my answer", "Moodle"):
        assert text not in payload
    assert set(json.loads(payload)[1]) == {"id", "verb", "timestamp"}


def test_without_a_time_a_statement_is_of_now() -> None:
    found = only(statement(timestamp=...))
    assert found.occurred_at == NOW


def answered(sent: Delivery) -> Answer:
    assert KIND.answer is not None
    return KIND.answer(KIND.verify(sent, access()), 1, False)


def test_to_post_the_ids_are_answered() -> None:
    other = "0b0d2f6c-40ee-4b1a-9a3f-2a6b9a7f9c11"
    assert answered(sent([statement(), verb("viewed", id=other)])) == Answer(200, [ID, other])
    assert answered(sent(statement())) == Answer(200, [ID])
    assert answered(sent([])) == Answer(200, [])


def test_statements_without_an_id_get_one_that_a_repeat_gets_too() -> None:
    items = [statement(id=...), statement(id=...)]
    first, second = answered(sent(items)).body
    assert UUID(first) != UUID(second)
    assert answered(sent(items)).body == [first, second]


def test_to_put_nothing_is_answered() -> None:
    assert answered(sent(statement(), statementId=ID.upper())) == Answer(204, None)
    assert answered(sent(statement(id=...), statementId=ID)) == Answer(204, None)
    assert KIND.parse(KIND.verify(sent(statement(), statementId=ID), access()))


@pytest.mark.parametrize("wanted", ["", "nonsense", "0b0d2f6c-40ee-4b1a-9a3f-2a6b9a7f9c11"])
def test_a_statement_that_is_put_has_the_id_of_the_address(wanted: str) -> None:
    with pytest.raises(MalformedError, match="statementId"):
        KIND.verify(sent(statement(), statementId=wanted), access())


def test_the_ids_of_the_statements_name_the_delivery() -> None:
    def name(*items: object) -> str:
        return KIND.delivery_id(sent(list(items)), KIND.verify(sent(list(items)), access()))

    assert name(statement()) == ID
    many = [verb("viewed", id=f"{number:08x}-40ee-4b1a-9a3f-2a6b9a7f9c11") for number in range(50)]
    assert name(*many) == name(*many) != name(*many[1:])
    assert len(name(*many)) <= 255


@pytest.mark.parametrize(
    ("item", "field"),
    [
        (7, "1.body"),
        (statement(id="nonsense"), "1.id"),
        (statement(verb=...), "1.verb"),
        (statement(timestamp="yesterday"), "1.timestamp"),
        (statement(actor=...), "1.actor"),
        (statement(object="https://example.org"), "1.object"),
        (statement(result={"score": {"raw": "eight"}}), "1.result.score.raw"),
        (statement(context={"contextActivities": {"grouping": "x"}}), "1.context.contextActivities.grouping"),
    ],
)
def test_a_wrong_field_is_refused_and_named(item: object, field: str) -> None:
    with pytest.raises(MalformedError) as refused:
        KIND.verify(sent([statement(), item]), access())
    assert refused.value.advice.startswith(f"{field}: ")


@pytest.mark.parametrize("version", ["", "0.95", "2.0.0", "1.0.3 or so"])
def test_another_version_is_refused(version: str) -> None:
    with pytest.raises(MalformedError, match="X-Experience-API-Version"):
        KIND.verify(delivery([], headers(x_experience_api_version=version)), access())


def basic(text: bytes) -> str:
    return "Basic " + base64.b64encode(text).decode()


@pytest.mark.parametrize(
    "header",
    ["", "Basic", "Basic !", f"Bearer {SECRET}", basic(b"\xff"), basic(SECRET.encode()), basic(b"moodle:wrong")],
)
def test_without_the_secret_as_a_password_statements_are_refused(header: str) -> None:
    with pytest.raises(SignatureError):
        KIND.verify(delivery([statement()], headers(authorization=header)), access())
