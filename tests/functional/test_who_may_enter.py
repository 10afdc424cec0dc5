"""Who gets in and as whom: sub-roles, parameters that teachers write, what was switched off, several tabs at once."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import monotonic

import jwt
import pytest
import requests
from sqlalchemy import select, update

from lti_tool.domain.launch import Role
from lti_tool.errors import InvalidInputError
from lti_tool.lti.nrps import Member, Roster
from lti_tool.models import Deployment, Enrolment, Person, PersonAlias
from lti_tool.sandbox.visitor import Visitor
from lti_tool.services import admins, audit, members, onboarding, registration
from lti_tool.services.admins import Admin
from lti_tool.services.reports.admin import audit_log
from tests import kept
from tests.functional.test_refused_launches import begun, send
from tests.scene import Scene
from tests.world import BIOLOGY, CHEMISTRY, TEACHER, World

LTI = "https://purl.imsglobal.org/spec/lti/claim/"
MEMBERSHIP = "http://purl.imsglobal.org/vocab/lis/v2/membership"
ADMINISTRATOR = "http://purl.imsglobal.org/vocab/lis/v2/institution/person#Administrator"


def altered(form: dict[str, str], **claims: object) -> dict[str, str]:
    """The same launch, as rightly signed, with other claims."""
    told = jwt.decode(form["id_token"], options={"verify_signature": False})
    head = jwt.get_unverified_header(form["id_token"])
    told |= {name if name == "sub" else f"{LTI}{name}": value for name, value in claims.items()}
    token = jwt.encode(told, kept.lms_key().private, algorithm="RS256", headers={"kid": head["kid"]})
    return form | {"id_token": token}


def switch_off_platform(world: World) -> None:
    registration.set_enabled(world.tools, 1, datetime.now(UTC), enabled=False)


def refuse_deployment(world: World) -> None:
    onboarding.set_approved(world.tools, 1, "test", datetime.now(UTC), approved=False)


def test_a_learner_by_a_sub_role_is_no_teacher(world: World) -> None:
    form, visitor = begun(world)
    roles = [f"{MEMBERSHIP}#Learner", f"{MEMBERSHIP}/Learner#Instructor"]
    response = send(world, altered(form, roles=roles), visitor)
    assert response.status_code == 303
    assert "/mine" in response.headers["Location"]


def test_parameters_that_teachers_write_into_links_are_no_ids(world: World) -> None:
    form, visitor = begun(world)
    custom = {"canvas_user_sis_id": "of somebody else", "canvas_user_id": "21070000000000048"}
    assert send(world, altered(form, custom=custom), visitor).status_code == 303
    with world.tools.database.read() as session:
        assert {alias.value for alias in session.scalars(select(PersonAlias))}.isdisjoint(custom.values())


@pytest.mark.parametrize("is_registered", [True, False])
def test_what_a_course_was_copied_from_is_believed_of_our_own_parameters_only(
    world: World, is_registered: bool
) -> None:
    world.ready_course()
    with world.tools.database.write() as session:
        session.execute(update(Deployment.platform.property.mapper.class_).values(has_parameters=is_registered))
        session.commit()
    visitor = Visitor().open(f"{world.lms_url}/courses/{CHEMISTRY}/badges?as={TEACHER}").submit("/lti/login")
    form = {field["name"]: field["value"] for field in visitor.page.select("form#launch input[name]")}
    form = altered(form, sub="eve", custom={"context_history": BIOLOGY})
    answer = visitor.browser.session.post(f"{world.tool_url}/lti/launch", data=form, timeout=10)
    assert ("copied from Biology 101" in answer.text) is is_registered


@pytest.mark.parametrize("end", [switch_off_platform, refuse_deployment])
def test_who_may_not_launch_any_more_is_out_at_once(world: World, end: Callable[[World], None]) -> None:
    teacher = world.launch(TEACHER)
    form, visitor = begun(world)
    answer = visitor.browser.session.post(
        f"{world.tool_url}/lti/launch", data=altered(form, roles=[ADMINISTRATOR]), timeout=10
    )
    assert "/admin" in answer.url
    end(world)
    assert teacher.open(world.course_url(teacher)).status == 404
    answer = visitor.browser.session.get(f"{world.tool_url}/admin/people?q=learner", timeout=10)
    assert "sign-in" in answer.url
    assert "learner@example.org" not in answer.text


def test_launches_that_are_on_their_way_at_once_do_not_disturb_each_other(world: World) -> None:
    visitor, forms = Visitor(), []
    for course in (BIOLOGY, CHEMISTRY):
        visitor.open(f"{world.lms_url}/courses/{course}/badges?as={TEACHER}").submit("/lti/login")
        forms.append({field["name"]: field["value"] for field in visitor.page.select("form#launch input[name]")})
    for form in forms:
        assert send(world, form, visitor).status_code == 303


def test_a_deployment_that_is_no_text_is_refused(world: World) -> None:
    form, visitor = begun(world)
    assert send(world, altered(form, deployment_id="\ud800"), visitor).status_code in (400, 401)


@pytest.mark.parametrize(
    ("claims", "codes"),
    [
        ({"deployment_id": "new"}, ["deployment_unknown", "deployment_not_approved"]),
        ({"sub": ""}, ["anonymous"]),
        ({"version": "1.1"}, ["wrong_version"]),
        ({"message_type": "LtiDeepLinkingRequest"}, ["deep_link_return_missing"]),
        ({"context": {"id": "x" * 256}}, ["claim_unusable"]),
    ],
)
def test_why_a_signed_launch_is_refused_is_seen_in_the_frame(
    world: World, claims: dict[str, object], codes: list[str]
) -> None:
    # Blackboard, Schoology, Canvas with a host of its own: only a launch tells where their pages are.
    back = {"return_url": "https://school.blackboard.com/back"}
    for code in codes:
        form, visitor = begun(world)
        answer = send(world, altered(form, launch_presentation=back, **claims), visitor)
        assert f"check <code>{code}</code>" in answer.text
        assert "https://school.blackboard.com" in frames(answer)


def test_a_launch_that_nobody_has_signed_is_shown_nowhere_else(world: World) -> None:
    form, visitor = begun(world)
    form = altered(form, launch_presentation={"return_url": "https://evil.example/back"})
    answer = send(world, form | {"id_token": form["id_token"][:-4] + "AAAA"}, visitor)
    assert "check <code>bad_signature</code>" in answer.text
    assert frames(answer) == [world.lms_url]


def frames(answer: requests.Response) -> list[str]:
    return answer.headers["Content-Security-Policy"].split("frame-ancestors ")[1].split(";")[0].split()


def test_an_address_of_the_lms_puts_nothing_else_into_the_policy(world: World) -> None:
    form, visitor = begun(world)
    with world.tools.database.write() as session:
        session.execute(update(Deployment).values(host=None))
        session.commit()
    nothing = {"https://purl.imsglobal.org/spec/lti-ags/claim/endpoint": None}
    told = jwt.decode(form["id_token"], options={"verify_signature": False}) | nothing
    told.pop("https://purl.imsglobal.org/spec/lti-nrps/claim/namesroleservice")
    told[f"{LTI}launch_presentation"] = {"return_url": "https://x * ;report-uri@localhost/back"}
    kid = jwt.get_unverified_header(form["id_token"])["kid"]
    form["id_token"] = jwt.encode(told, kept.lms_key().private, algorithm="RS256", headers={"kid": kid})
    assert send(world, form, visitor).status_code == 303
    with world.tools.database.read() as session:
        assert session.scalar(select(Deployment.host)) is None
    policy = requests.get(f"{world.tool_url}/admin/sign-in", timeout=5).headers["Content-Security-Policy"]
    assert " * " not in policy


@pytest.mark.parametrize("path", ["rules/1/people?person=", "learners?page=", "runs?page="])
def test_a_number_that_is_too_large_is_no_fault_of_the_tool(world: World, path: str) -> None:
    teacher = world.ready_course()
    base = world.course_url(teacher)
    assert teacher.open(base + path + str(10**30)).status < 500


def test_who_came_while_the_course_list_was_read_stays(scene: Scene) -> None:
    with scene.tools.database.write() as session:
        newcomer = session.scalars(select(Enrolment).join(Person).where(Person.sub == "ola")).one()
        newcomer.launch_role, newcomer.seen_at = Role.LEARNER, scene.now + timedelta(seconds=20)
        session.commit()
    read = Roster((Member("lea", "Lea", None, Role.LEARNER, False, True),), None)
    members.store(scene.tools, scene.course_id, read, scene.now, is_whole=True)
    with scene.tools.database.read() as session:
        assert all(session.scalars(select(Enrolment.active)))


def test_an_administrator_of_one_institution_reads_nothing_of_another(scene: Scene) -> None:
    with scene.tools.database.write() as session:
        other = Deployment(platform_id=scene.platform_id, deployment_id="other-college", created_at=scene.now)
        session.add(other)
        session.commit()
    for key in (other.id, scene.deployment_id):
        onboarding.set_approved(scene.tools, key, "Olga", scene.now, approved=True)
    audit.record(scene.tools, "root", "person erased", scene.now, platform_id=scene.platform_id, detail="somebody")
    with scene.tools.database.read() as session:
        shown = audit_log(session, Admin("Ann", scene.platform_id, scene.deployment_id))
        assert [line.detail for line in shown] == ["1"]
        assert len(audit_log(session, Admin("root", None, None))) == 3


def test_a_password_is_checked_while_others_write(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes long on purpose; SQLite lets in one writer at a time, and launches are writers."""
    waited: list[float] = []

    def slow(*_: object) -> bool:
        began = monotonic()
        audit.record(scene.tools, "somebody", "something", scene.now)
        waited.append(monotonic() - began)
        return False

    monkeypatch.setattr(admins, "_fits", slow)
    with pytest.raises(InvalidInputError):
        admins.sign_in(scene.tools, "nobody", "wrong", "digest", scene.now)
    assert waited
    assert waited[0] < 5
