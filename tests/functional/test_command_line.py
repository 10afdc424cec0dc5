"""`lti-badges` as an administrator types it: what it says, what it stores, and with which status it ends."""

import json
from collections.abc import Callable

import pytest
from sqlalchemy import select

from lti_tool.badgr.presets import PRESETS
from lti_tool.cli import main
from lti_tool.db import Database
from lti_tool.models import BadgrServer, Deployment, Platform, Source
from tests.world import LEARNER, World

KEY = "k" * 64
PLATFORM = (
    "platform add --name Moodle --issuer https://moodle.example --client-id abc --deployment 1 --deployment 2"
    " --login-url https://moodle.example/mod/lti/auth.php --token-url https://moodle.example/mod/lti/token.php"
    " --jwks-url https://moodle.example/mod/lti/certs.php"
)

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], database_url: str) -> Run:
    """Run a command line; gives exit status, standard output and standard error."""
    monkeypatch.setenv("LTI_BADGES_DATABASE_URL", database_url)
    monkeypatch.setenv("LTI_BADGES_SECRET_KEYS", KEY)
    monkeypatch.setenv("LTI_BADGES_BASE_URL", "https://badges.example")

    def run(line: str, *more: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["lti-badges", *line.split(), *more])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return run


def test_a_platform_is_added_shown_and_disabled(run: Run, database: Database) -> None:
    status, said, _ = run(PLATFORM)
    assert status == 0
    for address in ("/lti/login", "/lti/launch", "/lti/jwks.json"):
        assert f"https://badges.example{address}" in said
    with database.read() as session:
        platform = session.scalars(select(Platform)).one()
        assert {d.deployment_id for d in session.scalars(select(Deployment)) if d.approved} == {"1", "2"}
    assert json.loads(run("platform list --json")[1])[0]["issuer"] == "https://moodle.example"
    assert "abc" in run(f"platform show {platform.id}")[1]
    assert run(f"platform disable {platform.id}")[0] == 0
    with database.read() as session:
        assert not session.scalars(select(Platform)).one().enabled
    assert run(f"platform disable {platform.id} --again")[0] == 0
    with database.read() as session:
        assert session.scalars(select(Platform)).one().enabled


def test_the_pages_around_a_platform_are_named(run: Run, database: Database) -> None:
    run(PLATFORM)
    for line, kept in (
        ("apps.lms.example studio.lms.example", ["https://apps.lms.example", "https://studio.lms.example"]),
        ("apps.lms.example", ["https://apps.lms.example"]),
        ("--none", []),
    ):
        assert run(f"platform frames 1 {line}")[0] == 0
        assert json.loads(run("platform show 1 --json")[1])[0]["frames"] == kept
    for line, code in (
        ("1", 2),
        ("1 x.example --none", 2),
        ("1 *.example", 1),
        ("1 http://lms.example", 1),
        ("9 x", 1),
    ):
        assert run(f"platform frames {line}")[0] == code, line
    with database.read() as session:
        assert session.scalars(select(Platform)).one().frame_origins == []


def test_the_same_platform_again_is_an_update(run: Run, database: Database) -> None:
    run(PLATFORM)
    assert run(PLATFORM.replace("--name Moodle", "--name Campus"))[0] == 0
    with database.read() as session:
        assert session.scalars(select(Platform.name)).all() == ["Campus"]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (("https://moodle.example/mod/lti/certs.php", "moodle.example/certs"), "jwks"),
        (("https://moodle.example/mod/lti/token.php", "http://moodle.example/token"), "token"),
        (("--issuer https://moodle.example", "--issuer moodle"), "issuer"),
    ],
)
def test_bad_addresses_are_named_and_nothing_is_stored(
    run: Run, database: Database, change: tuple[str, str], fault: str
) -> None:
    status, _, error = run(PLATFORM.replace(*change))
    assert status == 1
    assert fault in error
    with database.read() as session:
        assert session.scalars(select(Platform)).all() == []


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_every_preset_gives_the_addresses(run: Run, database: Database, preset: str) -> None:
    known = PRESETS[preset]
    line = f"badgr-server add --no-check --preset {preset} --client-id tool --client-secret hidden-secret"
    status, said, error = run(line)
    if known.ui_url is None:
        # Where the pages of a region are is not known for some: better asked than guessed.
        assert (status, "--ui-url" in error or "ui" in error.lower()) == (1, True)
        status, said, _ = run(f"{line} --ui-url https://ui.example")
    assert status == 0
    assert "https://badges.example/badgr/callback" in said
    assert "hidden-secret" not in said
    with database.read() as session:
        server = session.scalars(select(BadgrServer)).one()
    assert (server.api_url, server.ui_url) == (known.api_url, known.ui_url or "https://ui.example")
    assert "hidden-secret" not in server.sealed_client_secret
    assert known.label in run("badgr-server list")[1]


def test_an_own_badgr_server(run: Run, database: Database) -> None:
    line = "badgr-server add --no-check --name Own --client-id t"
    line += " --ui-url https://b.example --api-url https://api.b.example"
    assert run(line, "--client-secret", "s")[0] == 0
    line = "badgr-server add --no-check --name Own --client-id t --client-secret s"
    assert run(f"{line} --ui-url http://b.example --api-url x")[0] == 1


def test_a_source_shows_its_secret_once(run: Run, database: Database) -> None:
    run(PLATFORM)
    told = json.loads(run("source add --platform 1 --name Grades --json")[1])[0]
    assert told["address"] == f"https://badges.example/webhooks/{told['id']}"
    assert told["secret"].startswith("whsec_")
    assert told["secret"] not in run("source list")[1]
    again = json.loads(run(f"source rotate {told['id']} --json")[1])[0]
    assert again["secret"] != told["secret"]
    with database.read() as session:
        assert session.scalars(select(Source.public_id)).all() == [told["id"]]
    assert run("source rotate unknown")[0] == 1
    assert run("source add --platform 99 --name Grades")[0] == 1


def test_a_source_is_told_everything_at_once(run: Run, database: Database) -> None:
    run(PLATFORM)
    line = "source add --platform 1 --name Grades --match-by-email --deployment 2 --alarm-after 72"
    assert run(line)[0] == 0
    with database.read() as session:
        made = session.scalars(select(Source)).one()
        assert made.deployment is not None
        assert (made.match_by_email, made.deployment.deployment_id, made.alarm_after_hours) == (True, "2", 72)
    for wrong, said in (
        ("--deployment 9", "deployment: is not one of this LMS"),
        ("--alarm-after -1", "alarm after: must be"),
        ("--option colour=red", "option colour: the kind standard asks for"),
        ("--kind pull", "Invalid value for '--kind'"),
    ):
        status, _, error = run(f"source add --platform 1 --name Grades {wrong}")
        assert status != 0
        assert said in error
    told = json.loads(run("source list --json")[1])
    assert [row["name"] for row in told] == ["Grades"]


def test_wrong_settings_end_with_status_2(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LTI_BADGES_SECRET_KEYS", "short")
    monkeypatch.setenv("LTI_BADGES_TYPO", "1")
    status, _, error = run("platform list")
    assert status == 2
    assert "LTI_BADGES_SECRET_KEYS" in error
    assert "LTI_BADGES_TYPO" in error


@pytest.mark.parametrize("line", ["platform show 99999999999999999999", "platform disable 0", "award explain -1"])
def test_a_number_that_no_row_can_have_is_refused_in_words(run: Run, line: str) -> None:
    status, _, error = run(line)
    assert status == 2
    assert "is not in the range" in error or "No such option" in error


def test_secrets_may_come_by_the_environment(run: Run, monkeypatch: pytest.MonkeyPatch, database: Database) -> None:
    monkeypatch.setenv("LTI_BADGES_ADMIN_PASSWORD", "correct horse battery")
    assert run("admin create ada")[0] == 0
    assert "LTI_BADGES_ADMIN_PASSWORD" in run("admin create --help")[1]


def test_a_platform_is_added_before_its_deployments_are_known(run: Run, database: Database) -> None:
    assert run(PLATFORM.replace(" --deployment 1 --deployment 2", ""))[0] == 0
    with database.read() as session:
        assert session.scalars(select(Platform)).one().deployments == []


def test_a_database_without_tables_is_told_with_what_to_do(run: Run) -> None:
    assert run("migrate --revision base")[0] == 0
    status, _, error = run("platform list")
    assert status == 1
    assert "lti-badges migrate" in error
    status, _, error = run("migrate --revision nonsense")
    assert status == 1
    assert error.startswith("The tables were not changed")


def test_migrate_up_and_down(run: Run) -> None:
    assert run("migrate --revision base")[0] == 0
    assert run("migrate")[0] == 0
    assert "No platform yet" in run("platform list")[1]


def test_an_award_explains_itself(world: World, run: Run) -> None:
    world.ready_course()
    world.grade(LEARNER, score=9)
    world.work()
    award = world.award_of(LEARNER)
    status, said, _ = run(f"award explain {award.id}")
    assert status == 0
    for part in (
        "Algebra I for Lea Learner: Issued",
        "Score at least 80 % in Quiz 1",
        "90 %",
        "Badgr issued it",
        "Verify:",
    ):
        assert part in said
    told = json.loads(run(f"award explain {award.id} --json")[1])
    assert [step["kind"] for step in told["steps"]][-1] == "issued"
    assert run("award explain 999")[0] == 1


def test_everything_can_be_read_anew(run: Run, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LTI_BADGES_ALLOW_PRIVATE_ADDRESSES", "true")
    world.ready_course()
    status, out, _ = run("reconcile --json")
    assert status == 0
    (row,) = json.loads(out)
    assert (row["course"], row["title"]) == (1, "Biology 101")
    assert isinstance(row["results"], int)
    assert run("reconcile --course 99 --json")[1].strip() == "[]"
