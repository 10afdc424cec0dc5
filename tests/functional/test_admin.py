"""The administrator's pages: signing in, registration by link and by hand, approval, copies of an LMS, keys, people."""

import json
from datetime import UTC, datetime, timedelta

import pytest
import requests
from sqlalchemy import select, update

from lti_tool.errors import NotFoundError
from lti_tool.models import AdminAccount, AdminVisit, AuditEntry, Deployment, Platform, RegistrationLink, ToolKey
from lti_tool.sandbox.lms import Fault
from lti_tool.sandbox.lms.claims import Launch
from lti_tool.sandbox.visitor import Visitor
from lti_tool.services import admins, onboarding
from lti_tool.services.admins import Admin
from lti_tool.services.reports.stuck import course_of_award, stuck_report
from tests.world import BIOLOGY, LEARNER, LEARNER_ADDRESS, NO_MAIL, TEACHER, World

NAME, PASSWORD = "root", "correct horse battery"
LMS_ADMIN = "2"
PAGES = ("", "platforms/1", "people", "audit", "awards", "check", "check/platform-1")
LOCAL_PAGES = ("links", "keys", "platforms/new", "check/tool", "check/badgr-1")


def now() -> datetime:
    return datetime.now(UTC)


def sign_in(world: World, password: str = PASSWORD, name: str = NAME) -> Visitor:
    visitor = Visitor().open(f"{world.tool_url}/admin/")
    return visitor.submit(None, {"name": name, "password": password})


@pytest.fixture
def admin(world: World) -> Visitor:
    admins.create_account(world.tools, NAME, PASSWORD, "test", now())
    return sign_in(world)


def lms_admin(world: World) -> Visitor:
    visitor = Visitor().open(f"{world.lms_url}/courses/{BIOLOGY}/badges?as={LMS_ADMIN}")
    return visitor.submit("/lti/login").submit()


def refused_login(world: World) -> str:
    return Visitor().open(f"{world.lms_url}/courses/{BIOLOGY}/badges?as={TEACHER}").submit("/lti/login").text


def get(visitor: Visitor, url: str) -> requests.Response:
    response: requests.Response = visitor.browser.session.get(url, timeout=10, allow_redirects=False)
    return response


def actions(world: World) -> list[str]:
    with world.tools.database.read() as session:
        return list(session.scalars(select(AuditEntry.action).order_by(AuditEntry.id)))


# -- signing in --


def test_signing_in_and_out(world: World, admin: Visitor) -> None:
    assert admin.page.h1.text == "LMSs"
    assert "Sandbox LMS" in admin.text
    admin.submit("/admin/sign-out")
    assert admin.open(f"{world.tool_url}/admin/").page.h1.text == "Administration of Badges"


def test_the_session_changes_at_sign_in_and_ends(world: World) -> None:
    admins.create_account(world.tools, NAME, PASSWORD, "test", now())
    visitor = world.launch(TEACHER)
    before = visitor.browser.session.cookies.get("lti_badges")
    visitor.open(f"{world.tool_url}/admin/sign-in").submit(None, {"name": NAME, "password": PASSWORD})
    assert visitor.browser.session.cookies.get("lti_badges") != before
    with world.tools.database.read() as session:
        account = session.scalars(select(AdminAccount)).one()
    assert account.password_hash.startswith("$argon2id$")
    assert visitor.open(f"{world.tool_url}/admin/").page.h1.text == "LMSs"
    with world.tools.database.write() as session:
        session.execute(update(AdminVisit).values(expires_at=now() - timedelta(seconds=1)))
        session.commit()
    assert visitor.open(f"{world.tool_url}/admin/").page.h1.text == "Administration of Badges"


@pytest.mark.parametrize(("name", "password"), [(NAME, "wrong"), ("nobody", PASSWORD), ("", "")])
def test_wrong_names_and_passwords_get_the_same_answer(world: World, admin: Visitor, name: str, password: str) -> None:
    visitor = sign_in(world, password, name)
    assert visitor.status == 403
    assert admins.WRONG in visitor.text


def test_guessing_is_made_to_wait(world: World, admin: Visitor) -> None:
    for _ in range(admins.FREE_FAILURES + 1):
        sign_in(world, "wrong")
    locked = sign_in(world)
    assert locked.status == 403
    assert admins.WRONG in locked.text
    with world.tools.database.write() as session:
        session.execute(update(AdminAccount).values(wait_until=now() - timedelta(seconds=1)))
        session.commit()
    assert sign_in(world).page.h1.text == "LMSs"
    assert "sign-in failed" in actions(world)


def test_a_new_password_ends_the_old_sessions(world: World, admin: Visitor) -> None:
    admins.create_account(world.tools, NAME, "another long password", "test", now())
    assert admin.open(f"{world.tool_url}/admin/").page.h1.text == "Administration of Badges"


# -- who may see what --


def test_nobody_enters_without_signing_in(world: World) -> None:
    for path in (*PAGES, *LOCAL_PAGES):
        for visitor in (Visitor(), world.launch(TEACHER), world.launch(LEARNER)):
            response = get(visitor, f"{world.tool_url}/admin/{path}")
            assert (response.status_code, response.headers["Location"]) == (303, "/admin/sign-in"), path


def test_the_administrator_of_an_lms_sees_only_that(world: World) -> None:
    world.ready_course()
    with world.tools.database.write() as session:
        other = Platform(
            name="Other LMS",
            issuer="https://other.example",
            client_id="x",
            auth_login_url="https://other.example/a",
            auth_token_url="https://other.example/t",
            jwks_url="https://other.example/j",
            created_at=now(),
        )
        other.deployments = [Deployment(deployment_id="9", approved=False, created_at=now())]
        session.add(other)
        session.commit()
        other_id, deployment_id = other.id, other.deployments[0].id
    visitor = lms_admin(world)
    base = f"{world.tool_url}/admin/"
    for path in PAGES:
        assert get(visitor, base + path).status_code == 200, path
        assert "Other LMS" not in visitor.open(base + path).text
    assert get(visitor, f"{base}platforms/{other_id}").status_code == 404
    for path in LOCAL_PAGES:
        assert get(visitor, base + path).status_code == 404, path
    visitor.open(base)
    token = visitor.page.select_one("input[name=csrf_token]")["value"]
    for path in (f"deployments/{deployment_id}", "platforms/1/enabled", "links", "keys"):
        data = {"csrf_token": token, "decision": "approve", "enabled": "no"}
        response = visitor.browser.session.post(base + path, data=data, headers={"Referer": base}, timeout=10)
        assert response.status_code == 404, path
    with world.tools.database.read() as session:
        assert not session.get_one(Deployment, deployment_id).approved
    found = visitor.open(f"{base}people?q=lea").text
    assert "learner@example.org" in found
    # A teacher in the same browser is no administrator.
    world.launch(TEACHER, visitor=visitor)
    assert get(visitor, base).status_code == 303


# -- registration --


def test_an_lms_registers_by_a_link(world: World, admin: Visitor) -> None:
    admin.open(f"{world.tool_url}/admin/links").submit(None, {"note": "School"})
    link = admin.page.select_one("#link")["value"]
    world.lms.tool = None
    page = Visitor().open(f"{world.lms_url}/admin?url={link}")
    frame = Visitor().open(page.page.select_one("iframe")["src"])
    assert "wants to use Badges" in frame.text
    frame.submit()
    assert frame.page.h1.text == "Badges is registered"
    with world.tools.database.read() as session:
        platform = session.scalars(select(Platform).where(Platform.name == "School")).one()
        assert [(d.deployment_id, d.approved) for d in platform.deployments] == [("1", True)]
        assert platform.family == "lti-badges-sandbox"
    # The link is used up, and the new registration launches.
    assert Visitor().open(link + "?openid_configuration=x").status == 400
    assert world.launch(TEACHER).page.h1.text == "Badges of this course"
    assert "registered" in actions(world)


def test_a_renewal_updates_instead_of_doubling(world: World, admin: Visitor) -> None:
    link = onboarding.create_link(world.tools, NAME, "Sandbox LMS", now(), platform_id=1)
    frame = Visitor().open(Visitor().open(f"{world.lms_url}/admin?url={link}").page.select_one("iframe")["src"])
    assert frame.submit().page.h1.text == "The registration is renewed"
    with world.tools.database.read() as session:
        assert len(session.scalars(select(Platform)).all()) == 1


def test_without_a_deployment_in_the_answer_the_first_launch_waits_for_approval(world: World, admin: Visitor) -> None:
    object.__setattr__(world.lms.config, "names_deployment", False)
    world.lms.tool = None
    link = onboarding.create_link(world.tools, NAME, "School", now())
    frame = Visitor().open(Visitor().open(f"{world.lms_url}/admin?url={link}").page.select_one("iframe")["src"])
    assert "first launch" in frame.submit().text
    assert "This installation is new" in world.launch(TEACHER).text
    assert "is not approved yet" in world.launch(TEACHER).text
    admin.open(f"{world.tool_url}/admin/")
    assert "wants a decision" in admin.text
    admin.follow("/admin/platforms/").submit("/admin/deployments/")
    assert world.launch(TEACHER).page.h1.text == "Badges of this course"
    assert {"new deployment seen", "deployment approved"} <= set(actions(world))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"issuer": "https://elsewhere.example"}, "does not belong to"),
        ({"token_endpoint": "http://elsewhere.example/token"}, "another host"),
        ({"jwks_uri": "file:///etc/passwd"}, "no usable jwks_uri"),
        ({"registration_endpoint": None}, "no usable registration_endpoint"),
    ],
)
def test_a_configuration_that_points_elsewhere_is_refused(
    world: World, change: dict[str, str | None], words: str
) -> None:
    told = requests.get(f"{world.lms_url}/lti/openid-configuration", timeout=10).text
    body = json.dumps(json.loads(told) | change)
    world.lms.faults.add(Fault("/openid-configuration", status=200, body=body, content_type="application/json"))
    link = onboarding.create_link(world.tools, NAME, "School", now())
    frame = Visitor().open(f"{link}?openid_configuration={world.lms_url}/lti/openid-configuration").submit()
    assert frame.status == 400
    assert words in frame.text
    with world.tools.database.read() as session:
        assert len(session.scalars(select(Platform)).all()) == 1
        assert session.scalars(select(RegistrationLink)).one().used_at is None


def test_links_end_and_need_a_configuration(world: World) -> None:
    link = onboarding.create_link(world.tools, NAME, "School", now())
    assert "enter it there" in Visitor().open(link).text
    with world.tools.database.write() as session:
        session.execute(update(RegistrationLink).values(expires_at=now() - timedelta(seconds=1)))
        session.commit()
    assert "does not work" in Visitor().open(f"{link}?openid_configuration={world.lms_url}").text
    assert Visitor().open(f"{world.tool_url}/lti/register/unknown?openid_configuration=x").status == 400


def test_the_registration_page_may_be_framed_by_the_lms_that_opened_it(world: World) -> None:
    link = onboarding.create_link(world.tools, NAME, "School", now())
    response = requests.get(f"{link}?openid_configuration=https://new.example/c", timeout=10)
    assert "https://new.example;" in response.headers["Content-Security-Policy"]
    response = requests.get(f"{world.tool_url}/lti/register/x?openid_configuration=https://new.example/c", timeout=10)
    assert "new.example" not in response.headers["Content-Security-Policy"]


def test_an_lms_is_registered_by_hand(world: World, admin: Visitor) -> None:
    told = {
        "name": "By hand",
        "issuer": "http://hand.example",
        "client_id": "c",
        "deployment": "1 2",
        "login_url": "http://hand.example/auth",
        "token_url": "nonsense",
        "jwks_url": "http://hand.example/jwks",
    }
    form = f"{world.tool_url}/admin/platforms/new"
    admin.open(form).submit("/platforms/new", told)
    assert admin.status == 422
    assert "Nothing was saved yet" in admin.text
    assert admin.page.select_one("#issuer")["value"] == "http://hand.example"
    admin.submit("/platforms/new", told | {"token_url": "http://hand.example/token"})
    assert admin.page.h1.text == "By hand"
    with world.tools.database.read() as session:
        platform = session.scalars(select(Platform).where(Platform.name == "By hand")).one()
        assert [d.deployment_id for d in platform.deployments] == ["1", "2"]


def test_the_form_is_filled_in_by_what_the_lms_publishes(world: World, admin: Visitor) -> None:
    admin.open(f"{world.tool_url}/admin/platforms/new")
    admin.submit("/look-up", {"configuration": f"{world.lms_url}/lti/openid-configuration"})
    assert admin.page.select_one("#issuer")["value"] == world.lms_url
    assert admin.page.select_one("#jwks_url")["value"] == f"{world.lms_url}/lti/jwks"
    admin.submit("/look-up", {"configuration": f"{world.lms_url}/nothing"})
    assert admin.status == 422
    assert "answered with status 404" in admin.text


def test_the_pages_around_an_lms_are_entered_and_noted(world: World, admin: Visitor) -> None:
    page = f"{world.tool_url}/admin/platforms/1"
    admin.open(page).submit("/frames", {"frames": "apps.lms.example\nstudio.lms.example"})
    assert admin.page.select_one("#frames").text.split() == ["https://apps.lms.example", "https://studio.lms.example"]
    admin.submit("/frames", {"frames": "*"})
    assert admin.status == 400
    assert "must be a whole address" in admin.text
    # An administrator of the LMS sees it, and has nothing to enter it with.
    own = lms_admin(world).open(page)
    assert "https://studio.lms.example" in own.text
    assert own.page.select_one("#frames") is None
    admin.open(page).submit("/frames", {"frames": ""})
    told = admin.open(f"{world.tool_url}/admin/audit").text
    assert "pages around the LMS entered : https://apps.lms.example https://studio.lms.example" in told
    assert "pages around the LMS entered : none" in told


def test_stuck_awards_are_listed_and_sent_again(world: World, admin: Visitor) -> None:
    world.ready_course()
    world.badgr.faults.add(Fault("/assertions", method="POST", status=400, body='{"status": {}}'))
    world.grade(LEARNER, score=9)
    world.grade(NO_MAIL, score=9)
    world.work()
    admin.open(f"{world.tool_url}/admin/awards")
    assert "Held: no e-mail address" in admin.text
    assert "Not accepted by Badgr" in admin.text
    admin.submit("/retry")
    world.work()
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra I"]
    assert "An administrator asked to send it again." in [step.text for step in world.award_of(LEARNER).steps]
    assert actions(world)[-1] == "sent again"
    assert f"sent again : award {world.award_of(LEARNER).id}" in admin.open(f"{world.tool_url}/admin/audit").text


def test_an_administrator_of_another_installation_sees_no_award(world: World) -> None:
    world.ready_course()
    world.grade(NO_MAIL, score=9)
    world.work()
    other = Admin("Ada", 1, 99)
    with world.tools.database.read() as session:
        report = stuck_report(session, other, 1)
        assert (report.rows, report.total, report.on_the_way, report.events_unmatched) == ([], 0, 0, 0)
        with pytest.raises(NotFoundError):
            course_of_award(session, other, world.award_of(NO_MAIL).id)
        assert stuck_report(session, Admin("Ada", 1, 1), 1).total == 1


def test_the_canvas_document(world: World) -> None:
    told = requests.get(f"{world.tool_url}/lti/canvas.json", timeout=10).json()
    assert {"title", "description", "oidc_initiation_url", "target_link_uri", "public_jwk_url"} <= told.keys()
    [extension] = told["extensions"]
    assert (extension["platform"], extension["privacy_level"]) == ("canvas.instructure.com", "public")
    placements = {p["placement"]: p["message_type"] for p in extension["settings"]["placements"]}
    assert placements["course_navigation"] == "LtiResourceLinkRequest"
    assert placements["link_selection"] == placements["assignment_selection"] == "LtiDeepLinkingRequest"


# -- trust --


def test_a_copy_of_the_lms_is_noticed_and_changes_nothing(world: World, admin: Visitor) -> None:
    world.ready_course()
    # The copy has the same ids and key, and other addresses.
    claims = world.lms.claims(Launch(TEACHER, BIOLOGY), "n")
    moved = {
        name: json.loads(json.dumps(value).replace("localhost", "copy.localhost"))
        for name, value in claims.items()
        if name.startswith("https://") and isinstance(value, dict)
    }
    original = world.lms.claims
    world.lms.claims = lambda *a, **k: original(*a, **k) | moved  # type: ignore[method-assign]
    assert "looks like a copy" in world.launch(TEACHER).text
    world.lms.claims = original  # type: ignore[method-assign]
    assert world.launch(TEACHER).page.h1.text == "Badges of this course"
    admin.open(f"{world.tool_url}/admin/platforms/1")
    assert "Opened from another address: copy.localhost" in admin.text
    form = next(f for f in admin.page.select("form") if f.select_one("input[value=move]"))
    admin.browser.select_form(form)
    admin.browser.submit_selected()
    with world.tools.database.read() as session:
        deployment = session.scalars(select(Deployment)).one()
        assert (deployment.host or "").startswith("copy.localhost")
        assert deployment.foreign_host is None


# -- keys --


def test_a_rotation_keeps_the_former_key_published(world: World, admin: Visitor) -> None:
    def published() -> list[str]:
        return [k["kid"] for k in requests.get(f"{world.tool_url}/lti/jwks.json", timeout=10).json()["keys"]]

    [former] = published()
    admin.open(f"{world.tool_url}/admin/keys").submit("", {})
    new, kept = published()
    assert kept == former != new
    # Services go on: the LMS reads the new key.
    world.launch(TEACHER)
    with world.tools.database.write() as session:
        session.execute(update(ToolKey).values(created_at=now() - timedelta(days=91)))
        session.execute(
            update(ToolKey).where(ToolKey.retired_at.is_not(None)).values(retired_at=now() - timedelta(days=31))
        )
        session.commit()
    world.queue.sweep()
    scheduled, former_new = published()
    assert former_new == new != scheduled
    world.queue.sweep()
    assert published() == [scheduled, new]


def test_switching_an_lms_off_and_on(world: World, admin: Visitor) -> None:
    admin.open(f"{world.tool_url}/admin/platforms/1").submit("/enabled")
    assert "This LMS is switched off" in refused_login(world)
    admin.submit("/enabled")
    assert world.launch(TEACHER).page.h1.text == "Badges of this course"
    assert {"platform switched off", "platform switched on"} <= set(actions(world))
