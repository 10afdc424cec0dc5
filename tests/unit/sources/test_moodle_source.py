"""Posts of Moodle's plugins: the facts of each event, who is meant, and the token that is not kept."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from lti_tool.domain.events import (
    ActivityProgress,
    ActivityRef,
    GradeEvent,
    GradeFact,
    GradingProgress,
    Identifier,
    IdKind,
    ProgressFact,
)
from lti_tool.sources import KINDS
from lti_tool.sources.kind import MalformedError, SignatureError
from tests.unit.sources.sources_testing import SECRET, access, delivery, told

KIND = KINDS["moodle"]
AT = datetime.fromtimestamp(1795458886, UTC)
COURSE, LEARNER = (Identifier(IdKind.LTI, "2"),), (Identifier(IdKind.LTI, "8"),)


def post(event: str = "core\\event\\user_graded", **members: Any) -> dict[str, Any]:
    """A body as local_webhooks sent it from Moodle 4.5, recorded; a member of `...` is left out."""
    whole = {
        "eventname": f"\\{event}",
        "component": "core",
        "action": "graded",
        "target": "user",
        "objecttable": "grade_grades",
        "objectid": "11",
        "crud": "u",
        "edulevel": 1,
        "contextid": 33,
        "contextlevel": 50,
        "contextinstanceid": "2",
        "userid": "3",
        "courseid": "2",
        "relateduserid": "8",
        "anonymous": 0,
        "other": {"itemid": "2", "overridden": False, "finalgrade": "71.00000"},
        "timecreated": 1795458886,
        "host": "127.0.0.1",
        "token": SECRET,
        "extra": "bench-extra",
    }
    return {name: value for name, value in (whole | members).items() if value is not ...}


def completion(state: object, **members: Any) -> dict[str, Any]:
    other = {"relateduserid": 8, "overrideby": None, "completionstate": state}
    whole = {"contextlevel": 70, "contextinstanceid": 17, "other": other}
    return post("core\\event\\course_module_completion_updated", **(whole | members))


def only(body: object) -> GradeEvent:
    (found,) = told(KIND, delivery(body))
    return found


def test_a_grade_is_read_and_belongs_to_the_learner() -> None:
    activity = ActivityRef("moodle:item:2", "", "grade_item")
    assert only(post()) == GradeEvent(COURSE, LEARNER, activity, grade=GradeFact(AT, 71, None))


def test_ids_are_texts_whatever_they_come_as() -> None:
    numbers: dict[str, Any] = {"courseid": 2, "relateduserid": 8, "objectid": 11, "userid": 3}
    assert only(post(**numbers, other={"itemid": 2, "finalgrade": 71})) == only(post())


@pytest.mark.parametrize("given", [None, ""])
def test_a_grade_that_was_taken_away_is_none(given: object) -> None:
    grade = only(post(other={"itemid": "2", "finalgrade": given})).grade
    assert grade == GradeFact(AT, None, None, GradingProgress.NOT_READY)


@pytest.mark.parametrize("user", [-1, "-1", "0"])
def test_a_grade_that_nobody_gave_is_a_total(user: object) -> None:
    assert only(post(userid=user)).activity == ActivityRef("moodle:item:2", "", "grade_total")


@pytest.mark.parametrize(
    ("state", "progress"),
    [
        (0, ActivityProgress.IN_PROGRESS),
        (1, ActivityProgress.COMPLETED),
        ("1", ActivityProgress.COMPLETED),
        (2, ActivityProgress.COMPLETED),
    ],
)
def test_an_activity_is_completed_or_no_longer(state: object, progress: ActivityProgress) -> None:
    activity = ActivityRef("moodle:cm:17", "", "activity")
    assert only(completion(state)) == GradeEvent(COURSE, LEARNER, activity, progress=ProgressFact(AT, progress))


def test_an_activity_that_was_failed_is_handed_in_and_not_completed_any_more() -> None:
    found = told(KIND, delivery(completion(3)))
    assert {event.activity for event in found} == {ActivityRef("moodle:cm:17", "", "activity")}
    reached = [ActivityProgress.IN_PROGRESS, ActivityProgress.SUBMITTED]
    assert [event.progress for event in found] == [ProgressFact(AT, progress) for progress in reached]


def test_a_course_is_completed() -> None:
    found = only(post("core\\event\\course_completed", other={"relateduserid": 8}))
    activity = ActivityRef("moodle:course", "", "course")
    assert found == GradeEvent(COURSE, LEARNER, activity, progress=ProgressFact(AT, ActivityProgress.COMPLETED))


@pytest.mark.parametrize(
    ("event", "kind", "members", "learner"),
    [
        ("mod_quiz\\event\\attempt_submitted", "quiz", {"userid": -1, "relateduserid": "8"}, "8"),
        ("mod_quiz\\event\\attempt_submitted", "quiz", {}, "8"),
        ("mod_assign\\event\\assessable_submitted", "assignment", {"relateduserid": None}, "3"),
        ("mod_assign\\event\\assessable_submitted", "assignment", {"relateduserid": ...}, "3"),
        ("mod_assign\\event\\assessable_submitted", "assignment", {}, "8"),
    ],
)
def test_something_is_handed_in(event: str, kind: str, members: dict[str, Any], learner: str) -> None:
    found = only(post(event, contextlevel=70, contextinstanceid="17", other=None, **members))
    assert found.person == (Identifier(IdKind.LTI, learner),)
    assert found.activity == ActivityRef("moodle:cm:17", "", kind)
    assert found.progress == ProgressFact(AT, ActivityProgress.SUBMITTED)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"other": json.dumps(post()["other"])}, id="as a text"),
        pytest.param({"other": ..., "other_itemid": "2", "other_finalgrade": "71.00000"}, id="one by one"),
    ],
)
def test_a_body_that_tool_trigger_puts_together_is_read(other: dict[str, Any]) -> None:
    assert only(post(**other)) == only(post())


@pytest.mark.parametrize("other", [[], None, "", "a:0:{}", ...])
def test_where_nothing_more_is_needed_it_may_be_anything(other: object) -> None:
    assert only(post("core\\event\\course_completed", other=other)).progress


@pytest.mark.parametrize("event", ["core\\event\\user_loggedin", "mod_forum\\event\\post_created", "user_graded", "x"])
def test_a_post_about_something_else_tells_nothing_and_is_not_kept(event: str) -> None:
    payload = KIND.verify(delivery(post(event)), access())
    assert KIND.parse(payload) == []
    assert "relateduserid" not in json.loads(payload)


def test_the_token_is_not_kept() -> None:
    payload = KIND.verify(delivery(post()), access())
    assert SECRET not in payload.decode()
    assert b"bench-extra" not in payload


def test_the_token_may_come_in_a_header() -> None:
    bare = post(token=...)
    assert KIND.verify(delivery(bare, {"authorization": f"Bearer {SECRET}"}), access())


@pytest.mark.parametrize("token", [..., None, "", "wrong", 7, [SECRET], {"token": SECRET}])
def test_without_the_token_a_post_is_refused(token: object) -> None:
    with pytest.raises(SignatureError):
        KIND.verify(delivery(post(token=token)), access())


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (post(eventname=...), "eventname"),
        (post(timecreated="soon"), "timecreated"),
        (post(timecreated=10**12), "timecreated"),
        (post(courseid=...), "courseid"),
        (post(relateduserid=None), "relateduserid"),
        (post(relateduserid="-1"), "relateduserid"),
        (post(other={"finalgrade": 1}), "other.itemid"),
        (post(other={"itemid": 2, "finalgrade": "A"}), "other.finalgrade"),
        (post(other=7), "other"),
        (completion(4), "other.completionstate"),
        (completion(None), "other.completionstate"),
        (completion(1, contextinstanceid=None), "contextinstanceid"),
    ],
)
def test_a_wrong_field_is_refused_and_named(body: object, field: str) -> None:
    with pytest.raises(MalformedError) as refused:
        told(KIND, delivery(body))
    assert refused.value.advice.startswith(f"{field}: ")


def test_the_same_post_is_the_same_delivery_and_another_grade_is_not() -> None:
    def name(body: object) -> str:
        return KIND.delivery_id(delivery(body), KIND.verify(delivery(body), access([SECRET, "former"])))

    assert name(post()) == name(post(token="former"))
    assert len({name(post()), name(post(objectid="12")), name(post(relateduserid="9")), name(completion(1))}) == 4
