"""The self-check says in plain words what does not work, and what to click where."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import update

from lti_tool.cli import main
from lti_tool.cli.administration import EVERYTHING
from lti_tool.errors import NotFoundError
from lti_tool.lti import advice
from lti_tool.models import Deployment, Event, Heartbeat, Platform, PlatformToken
from lti_tool.sandbox.lms import Fault
from lti_tool.sandbox.lms.people import Person
from lti_tool.services import selfcheck
from lti_tool.services.admins import Admin
from lti_tool.services.selfcheck import Finding, Outcome
from tests.world import BIOLOGY, TEACHER, World

PLATFORM = "platform-1"


def findings(world: World, key: str = PLATFORM) -> dict[str, Finding]:
    _, found = selfcheck.check(world.tools, EVERYTHING, key, datetime.now(UTC))
    return {finding.topic: finding for finding in found}


def faults(world: World, key: str = PLATFORM) -> set[str]:
    return {topic for topic, finding in findings(world, key).items() if finding.outcome is Outcome.FAULT}


def set_family(world: World, family: str) -> None:
    with world.tools.database.write() as session:
        session.execute(update(Platform).values(family=family))
        session.commit()


def test_a_good_lms_is_fine_in_everything(world: World) -> None:
    world.launch(TEACHER)
    found = findings(world)
    assert {finding.outcome for finding in found.values()} == {Outcome.FINE}
    assert found["Course list"].detail == "Biology 101 has 18 people."
    assert "publishes 1 key." in found["Key set"].detail


def test_before_the_first_launch_some_things_are_not_known(world: World) -> None:
    found = findings(world)
    assert found["Course list"].outcome is Outcome.UNKNOWN
    assert "Open Badges from a course" in found["Course list"].advice
    assert faults(world) == set()


@pytest.mark.parametrize(
    ("fault", "broken"),
    [
        (Fault("/lti/jwks", status=500), {"Key set"}),
        (Fault("/lti/jwks", status=200, body='{"keys": []}', content_type="application/json"), {"Key set"}),
        (Fault("/lti/token", status=503, times=9), {"May read the course list", "Course list", "Gradebook"}),
        (Fault("/lti/nrps", status=403), {"Course list"}),
        (Fault("/lineitems", status=403), {"Gradebook"}),
    ],
)
def test_each_broken_part_is_named(world: World, fault: Fault, broken: set[str]) -> None:
    world.launch(TEACHER)
    with world.tools.database.write() as session:
        session.execute(update(Platform).values(family="moodle"))
        session.commit()
    forget_tokens(world)
    world.lms.faults.add(fault)
    assert faults(world) == broken


def forget_tokens(world: World) -> None:
    with world.tools.database.write() as session:
        session.query(PlatformToken).delete()
        session.commit()


def test_a_scope_that_is_not_granted_is_named_with_what_to_click(world: World) -> None:
    set_family(world, "canvas")
    # All four scopes are asked for, each alone; the second is refused.
    world.lms.faults.add(Fault("/lti/token", kind="delay", delay=0))
    world.lms.faults.add(Fault("/lti/token", status=400, body='{"error": "invalid_scope"}'))
    found = findings(world)
    assert faults(world) == set()
    refused = found["May make columns in the gradebook"]
    assert refused.outcome is Outcome.FAULT
    assert "In Canvas: Admin → Developer Keys" in refused.advice


def test_withheld_addresses_are_noticed(world: World) -> None:
    set_family(world, "canvas")
    course = world.lms.courses[BIOLOGY]
    nameless = tuple(replace(m, person=replace(m.person, email=None)) for m in course.members)
    world.lms.courses[BIOLOGY] = replace(course, members=nameless)
    world.launch(TEACHER)
    found = findings(world)["E-mail addresses"]
    assert isinstance(nameless[0].person, Person)
    assert found.outcome is Outcome.FAULT
    assert "privacy level to Public" in found.advice


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"approved": False}, "No installation is approved"),
        ({"foreign_host": "beta.example"}, "opened from another address"),
    ],
)
def test_installations_that_wait_are_noticed(world: World, values: dict[str, object], words: str) -> None:
    with world.tools.database.write() as session:
        session.execute(update(Deployment).values(**values))
        session.commit()
    assert words in findings(world)["Installation"].detail


def test_badgr_is_tried(world: World) -> None:
    assert faults(world, "badgr-1") == set()
    assert findings(world, "badgr-1")["Key and secret"].outcome is Outcome.FINE
    # A monitor that asked every minute would make Badgr wait for everybody.
    before = world.token_calls()
    selfcheck.check(world.tools, EVERYTHING, "badgr-1", datetime.now(UTC), with_keys=False)
    assert world.token_calls() == before
    world.badgr.faults.add(Fault("/o/token", status=401, body='{"error": "invalid_client"}'))
    told = findings(world, "badgr-1")["Key and secret"]
    assert (told.outcome, "does not know this key" in told.detail) == (Outcome.FAULT, True)
    assert "saved" not in told.detail
    world.badgr.faults.add(Fault("/v2/users/self", status=200))
    assert "status 200" in findings(world, "badgr-1")["API"].detail


def test_the_tool_itself_is_tried(world: World) -> None:
    assert faults(world, "tool") == {"Worker"}
    world.sweep()
    assert faults(world, "tool") == set()
    with world.tools.database.write() as session:
        session.execute(update(Heartbeat).values(seen_at=datetime(2020, 1, 1, tzinfo=UTC)))
        session.commit()
    assert faults(world, "tool") == {"Worker"}


def test_what_is_late_is_noticed(world: World) -> None:
    world.ready_course()
    world.grade("4", score=9)
    with world.tools.database.write() as session:
        session.execute(update(Event).values(due_at=datetime(2020, 1, 1, tzinfo=UTC), status="received"))
        session.commit()
    assert "Queue" in faults(world, "tool")


def test_an_administrator_of_an_lms_checks_only_that(world: World) -> None:
    mine = Admin("Ada", 1, 1)
    assert [subject.key for subject in selfcheck.subjects(world.tools, mine)] == [PLATFORM]
    for key in ("tool", "badgr-1", "platform-2", "nonsense"):
        with pytest.raises(NotFoundError):
            selfcheck.check(world.tools, mine, key, datetime.now(UTC))


def test_an_administrator_of_an_lms_hears_nothing_of_other_installations(world: World) -> None:
    with world.tools.database.write() as session:
        told = {"deployment_id": "another school", "approved": False, "created_at": datetime.now(UTC)}
        session.add(Deployment(platform_id=1, **told))
        session.commit()
    _, found = selfcheck.check(world.tools, Admin("Ada", 1, 1), PLATFORM, datetime.now(UTC))
    assert {f.topic: f.outcome for f in found}["Installation"] is Outcome.FINE


@pytest.mark.parametrize("family", ["moodle", "canvas", "desire2learn", "BlackboardLearn", "sakai", "", "unheard-of"])
@pytest.mark.parametrize("topic", ["keys", "scopes", "roster", "email", "launch"])
def test_there_is_advice_for_every_family(family: str, topic: str) -> None:
    assert advice.for_family(family, topic)


def test_the_command_prints_findings_and_ends_with_one_on_a_fault(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = world.tools.settings
    monkeypatch.setenv("LTI_BADGES_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("LTI_BADGES_SECRET_KEYS", "k" * 64)
    monkeypatch.setenv("LTI_BADGES_BASE_URL", settings.base_url)
    monkeypatch.setenv("LTI_BADGES_ALLOW_PRIVATE_ADDRESSES", "true")
    world.launch(TEACHER)

    def run(*more: str) -> tuple[object, str]:
        monkeypatch.setattr("sys.argv", ["lti-badges", "check", *more])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, capsys.readouterr().out

    status, said = run()
    assert status == 1
    assert "FAULT Worker: No worker was seen" in said
    assert "Sandbox LMS\n  ok    Key set" in said
    world.sweep()
    status, said = run("--json")
    assert status in (0, None)
    assert {row["outcome"] for row in json.loads(said)} == {"fine", "unknown"}
