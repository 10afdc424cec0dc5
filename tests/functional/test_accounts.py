"""By which Badgr account a course awards: one's own, a colleague's, an institution's; and how that ends."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from lti_tool.cli import main
from lti_tool.models import AwardStatus, BadgrServer, Connection, Course
from lti_tool.sandbox.badgr import Fault
from lti_tool.sandbox.visitor import Visitor
from lti_tool.services import admins, grants, sealing
from lti_tool.vault import Vault, VaultError
from tests.world import CHEMISTRY, LEARNER, LEARNER_ADDRESS, TEACHER, TUTOR, World

PASSWORD = "correct horse battery"
SECRET = "lti-tool-secret-for-loopback-tests"


def root(world: World) -> Visitor:
    admins.create_account(world.tools, "root", PASSWORD, "test", datetime.now(UTC))
    return Visitor().open(f"{world.tool_url}/admin/").submit(None, {"name": "root", "password": PASSWORD})


def connect_institution(world: World, admin: Visitor) -> None:
    admin.open(f"{world.tool_url}/admin/badgr/")
    admin.open(admin.page.select_one("a[href*='/badgr/connect']")["href"]).submit("/badgr/begin")
    owner = next(user for user in world.badgr.users.values() if user.name == "Olive Owner")
    admin.submit(None, {"user": owner.entity_id}, ("decision", "allow"))


def course(world: World, course_id: int) -> Course:
    with world.tools.database.read() as session:
        return session.get_one(Course, course_id)


def only_connection(world: World) -> Connection:
    with world.tools.database.read() as session:
        return session.scalars(select(Connection)).one()


def test_ones_own_account_is_used_in_another_course_without_a_new_consent(world: World) -> None:
    world.ready_course()
    teacher = world.launch(TEACHER, CHEMISTRY)
    assert "connected already" in teacher.text
    teacher.follow("/connections").submit("/use")
    assert course(world, 2).connection_id == course(world, 1).connection_id
    assert "Connected as Olive Owner" in teacher.text


def test_a_colleague_sees_whose_account_it_is_and_puts_an_own_one_in_its_place(world: World) -> None:
    world.ready_course()
    tutor = world.launch(TUTOR)
    assert "by Terry Teacher" in tutor.text
    tutor.follow("/connections")
    assert tutor.page.select_one("form[action*='/disconnect']") is None
    tab = Visitor().open(str(tutor.browser.absolute_url(tutor.page.select_one("a[href*='/badgr/connect']")["href"])))
    tab.submit("/badgr/begin")
    editor = next(user for user in world.badgr.users.values() if user.name == "Eddy Editor")
    tab.submit(None, {"user": editor.entity_id}, ("decision", "allow"))
    assert "by Tariq Tutor" in tutor.open(world.course_url(tutor)).text
    # Eddy is in the same issuer, so nothing has to be chosen anew.
    assert course(world, 1).issuer_role == "editor"
    world.grade(LEARNER, score=9)
    world.work()
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra I"]


def test_an_account_outside_the_issuer_makes_the_issuer_to_be_chosen_anew(world: World) -> None:
    teacher = world.ready_course()
    world.connect(teacher.open(world.course_url(teacher) + "connections/"), "Otto Outsider")
    assert course(world, 1).issuer_entity_id is None


def test_what_an_account_outside_the_issuer_could_not_award_goes_out_by_the_next_one(world: World) -> None:
    teacher = world.ready_course()
    world.connect(teacher.open(world.course_url(teacher) + "connections/"), "Otto Outsider")
    world.grade(LEARNER, score=9)
    world.work()
    assert world.award_of(LEARNER).status is AwardStatus.FAILED
    assert "not in the issuer of this course's badges" in teacher.open(world.course_url(teacher)).text
    teacher.open(world.course_url(teacher) + "connections/").submit("/use")
    world.work()
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra I"]
    # The issuer is that of the badges again, without being chosen.
    assert course(world, 1).issuer_name == "Loopback University"
    assert "not in the issuer" not in teacher.open(world.course_url(teacher)).text


def test_disconnecting_ends_it_at_badgr_and_awards_wait_until_somebody_connects(world: World) -> None:
    teacher = world.ready_course()
    teacher.open(world.course_url(teacher) + "connections/").submit("/disconnect")
    assert all(token.refresh_revoked for token in world.badgr.tokens)
    connection = only_connection(world)
    assert connection.dead_reason == "Terry Teacher has disconnected it."
    assert (world.tools.vault.open(connection.sealed_access_token), connection.sealed_refresh_token) == ("", None)
    world.grade(LEARNER, score=9)
    world.work()
    assert world.award_of(LEARNER).status is AwardStatus.HELD
    teacher.open(world.course_url(teacher))
    world.connect(teacher)
    world.work()
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra I"]


def test_a_badgr_that_is_away_does_not_keep_anybody_from_disconnecting(world: World) -> None:
    teacher = world.ready_course()
    world.badgr.faults.add(Fault("/o/revoke_token", status=503))
    teacher.open(world.course_url(teacher) + "connections/").submit("/disconnect")
    assert "Badgr could not be told" in teacher.text
    assert not only_connection(world).is_alive


def test_nobody_uses_or_ends_somebody_elses_account(world: World) -> None:
    world.ready_course()
    tutor = world.launch(TUTOR)
    tutor.follow("/connections")
    token = Visitor()
    token.browser.session.cookies = tutor.browser.session.cookies
    csrf = token.open(f"{world.tool_url}/courses/1/rules/1").page.select_one("input[name=csrf_token]")["value"]
    for path in ("1/disconnect", "99/use"):
        url = f"{world.tool_url}/courses/1/connections/{path}"
        assert tutor.browser.post(url, data={"csrf_token": csrf}).status_code == 404
    assert only_connection(world).is_alive


def test_an_institutions_account_outlives_the_teacher(world: World) -> None:
    admin = root(world)
    connect_institution(world, admin)
    assert "Olive Owner" in admin.open(f"{world.tool_url}/admin/badgr/").text
    world.announce()
    teacher = world.launch(TEACHER)
    assert "connected already" in teacher.text
    teacher.follow("/connections")
    assert "your institution" in teacher.text
    teacher.submit("/use")
    world.make_rule(teacher).submit("/activate", {"scope": "all"})
    world.grade(LEARNER, score=9)
    world.work()
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra I"]
    # Another installation cannot use it, and the teacher cannot end it.
    assert teacher.open(world.course_url(teacher) + "connections/").page.select_one("form[action*='/dis']") is None


def test_an_institution_allows_some_issuers_only(world: World) -> None:
    admin = root(world)
    connect_institution(world, admin)
    admin.open(f"{world.tool_url}/admin/badgr/accounts/1")
    assert "Loopback University" in admin.text
    with world.tools.database.write() as session:
        session.execute(update(Connection).values(allowed_issuers=["another"]))
        session.commit()
    teacher = world.launch(TEACHER)
    teacher.follow("/connections").submit("/use")
    teacher.open(world.course_url(teacher) + "issuer")
    assert "has no issuer that this course may use" in teacher.text
    admin.submit(None, {"issuer": admin.page.select_one("input[name=issuer]")["value"]})
    assert len(only_connection(world).allowed_issuers) == 1


def test_an_issuer_that_the_institution_does_not_allow_is_chosen_anew(world: World) -> None:
    connect_institution(world, root(world))
    grants.allow_issuers(world.tools, 1, ["another"], "root", datetime.now(UTC))
    teacher = world.launch(TEACHER)
    world.connect(teacher)
    teacher.open(world.course_url(teacher) + "issuer")
    teacher.submit("/issuer", {"issuer": teacher.page.select_one("input[name=issuer]")["value"]})
    assert course(world, 1).issuer_name == "Loopback University"
    teacher.open(world.course_url(teacher) + "connections/").submit("/1/use")
    assert (course(world, 1).connection_id, course(world, 1).issuer_entity_id) == (1, None)


def test_an_end_that_is_known_is_told_before(world: World) -> None:
    teacher = world.ready_course()
    soon = datetime.now(UTC) + timedelta(hours=20)
    with world.tools.database.write() as session:
        session.execute(update(Connection).values(sealed_refresh_token=None, expires_at=soon))
        session.commit()
    assert "The connection to Badgr will end" in teacher.open(world.course_url(teacher)).text


def test_an_administrator_sees_how_an_institutions_account_ends(world: World) -> None:
    admin = root(world)
    connect_institution(world, admin)
    soon = datetime.now(UTC) + timedelta(hours=20)
    with world.tools.database.write() as session:
        session.execute(update(Connection).values(sealed_refresh_token=None, expires_at=soon))
        session.commit()
    assert "Connect it again before that" in admin.open(f"{world.tool_url}/admin/badgr/").text
    admin.submit("/disconnect")
    assert "root has disconnected it. Courses that award by it wait" in admin.text


# -- servers --


def test_a_server_is_entered_with_its_key_tried_first(world: World) -> None:
    admin = root(world)
    admin.open(f"{world.tool_url}/admin/badgr/servers/new").submit("/look-up", {"address": world.badgr_url})
    assert admin.page.select_one("#api_url")["value"] == world.badgr_url
    told = {"name": "Second", "client_id": "lti-tool", "client_secret": SECRET}
    admin.submit("/servers", told | {"client_secret": "wrong"})
    assert (admin.status, "does not know this key" in admin.text) == (422, True)
    admin.submit("/servers", told | {"scopes": "r:profile"})
    assert "scopes: must have" in admin.text
    admin.submit("/servers", told | {"scopes": "r:profile rw:issuer"})
    assert "its key works" in admin.text
    assert "Second" in admin.text


def test_a_server_is_changed_without_giving_its_secret_again(world: World) -> None:
    admin = root(world)
    admin.open(f"{world.tool_url}/admin/badgr/servers/1").submit("/servers/1", {"max_parallel": "2", "name": "Ours"})
    assert "its key works" in admin.text
    with world.tools.database.read() as session:
        server = session.get_one(BadgrServer, 1)
    assert (server.name, server.max_parallel) == ("Ours", 2)


@pytest.mark.parametrize("field", ["max_parallel", "max_per_minute"])
@pytest.mark.parametrize("number", ["0", "-1", "1000001", "9" * 30, "many"])
def test_limits_that_nobody_can_mean_are_refused(world: World, field: str, number: str) -> None:
    admin = root(world)
    admin.open(f"{world.tool_url}/admin/badgr/servers/1").submit("/servers/1", {field: number, "name": "Ours"})
    assert admin.status == 422
    assert "limits: " in admin.text
    with world.tools.database.read() as session:
        assert session.get_one(BadgrServer, 1).name != "Ours"


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "nonsense"])
def test_an_address_that_tells_nothing_is_said_so(world: World, address: str) -> None:
    admin = root(world)
    admin.open(f"{world.tool_url}/admin/badgr/servers/new").submit("/look-up", {"address": address})
    assert admin.status == 422


def test_another_kind_of_server_is_not_taken_for_badgr(world: World) -> None:
    admin = root(world)
    told = {"name": "LMS", "client_id": "x", "client_secret": "y", "ui_url": world.lms_url, "api_url": world.lms_url}
    admin.open(f"{world.tool_url}/admin/badgr/servers/new").submit("/servers", told)
    assert (admin.status, "does not answer like a Badgr server" in admin.text) == (422, True)


def test_the_scopes_of_the_server_are_asked_for(world: World) -> None:
    with world.tools.database.write() as session:
        session.execute(update(BadgrServer).values(scopes=["r:profile", "rw:issuer", "r:backpack"]))
        session.commit()
    world.connect(world.launch(TEACHER))
    assert set(only_connection(world).scopes) == {"r:profile", "rw:issuer", "r:backpack"}


def test_a_short_wait_at_the_token_address_is_waited(world: World) -> None:
    wait = '{"error": "login attempts throttled", "expires": 1}'
    world.badgr.faults.add(Fault("/o/token", status=429, body=wait))
    tab = world.connect(world.launch(TEACHER))
    assert "Connected" in tab.text


# -- limits and the circuit breaker --


def server_row(world: World) -> BadgrServer:
    with world.tools.database.read() as session:
        return session.get_one(BadgrServer, 1)


def test_a_server_that_fails_is_left_alone_and_tried_again(world: World) -> None:
    world.ready_course()
    world.badgr.faults.add(Fault("/v2/badgeclasses/.*/assertions", status=503, times=5))
    for _ in range(5):
        world.grade(LEARNER, score=9)
        world.tick()
    row = server_row(world)
    assert row.failures >= 5
    assert row.closed_until is not None
    before = len(world.badgr.requests)
    world.grade("9", score=10)
    world.sweep()
    assert len(world.badgr.requests) == before
    assert "times in a row" in root(world).open(f"{world.tool_url}/admin/badgr/").text
    world.tick()
    world.tick()
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra I"]
    assert (server_row(world).failures, server_row(world).closed_until) == (0, None)


def test_no_more_is_sent_in_a_minute_than_the_server_takes(world: World) -> None:
    with world.tools.database.write() as session:
        session.execute(update(BadgrServer).values(max_per_minute=1))
        session.commit()
    world.ready_course()
    sent = [len(world.badgr.assertions)]
    for _ in range(3):
        world.tick()
        sent.append(len(world.badgr.assertions))
    # Two have earned it; each minute lets one more go.
    assert sent == [1, 2, 2, 2]


# -- keys --


def test_everything_is_sealed_anew_and_the_former_key_can_go(world: World) -> None:
    world.ready_course()
    former = world.tools.vault
    world.tools.vault._fernet = Vault(["n" * 64, "k" * 64])._fernet
    assert sealing.reseal(world.tools) >= 5
    newest = Vault(["n" * 64])
    with world.tools.database.read() as session:
        connection = session.get_one(Connection, 1)
        secret = newest.open(session.get_one(BadgrServer, 1).sealed_client_secret)
    assert secret == SECRET
    assert newest.open(connection.sealed_access_token)
    with pytest.raises(VaultError):
        Vault(["k" * 64]).open(connection.sealed_access_token)
    assert former is world.tools.vault


# -- command line --


def test_connections_are_listed_shown_and_revoked(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world.ready_course()
    settings = world.tools.settings
    monkeypatch.setenv("LTI_BADGES_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("LTI_BADGES_SECRET_KEYS", "k" * 64)
    monkeypatch.setenv("LTI_BADGES_BASE_URL", settings.base_url)
    monkeypatch.setenv("LTI_BADGES_ALLOW_PRIVATE_ADDRESSES", "true")

    def run(line: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["lti-badges", *line.split()])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out + said.err

    assert "Olive Owner" in run("connection list --json")[1]
    assert "Biology 101" in run("connection show 1")[1]
    assert "Biology 101" in run("connections show 1")[1]
    assert "The key works." in run("badgr-server test 1")[1]
    assert run("connection show 9")[0] == 1
    assert run("connection revoke 1") == (0, "Ended.\n")
    assert all(token.refresh_revoked for token in world.badgr.tokens)
    status, said = run(f"badgr-server add --address {world.badgr_url} --client-id x --client-secret y")
    assert (status, "does not know this key" in said) == (1, True)
    line = f"badgr-server add --address {world.badgr_url} --client-id lti-tool --client-secret {SECRET}"
    assert run(f"{line} --scope r:profile --scope rw:issuer --max-parallel 2 --max-per-minute 30")[0] == 0
    with world.tools.database.read() as session:
        added = session.scalars(select(BadgrServer).where(BadgrServer.id != 1)).one()
    assert (added.max_parallel, added.max_per_minute, added.scopes) == (2, 30, ["r:profile", "rw:issuer"])
