"""Erasing a person: nothing here leads to them any more, others lose nothing, and what Badgr has is said."""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import func, select, text, update

from lti_tool.db import Base
from lti_tool.domain.events import IdKind
from lti_tool.errors import ConflictError, InvalidInputError, NotFoundError
from lti_tool.models import (
    AuditEntry,
    Award,
    AwardStatus,
    AwardStep,
    Backpack,
    Connection,
    Enrolment,
    Event,
    EventStatus,
    ExceptionKind,
    LearnerVisit,
    MissingId,
    Person,
    PersonAlias,
    Result,
    Rule,
    RuleException,
    Visit,
)
from lti_tool.services import admins, erasure
from tests.functional.test_admin import NAME, PASSWORD, get, lms_admin, sign_in
from tests.functional.test_command_line import Run, run
from tests.functional.test_walls import ask
from tests.functional.test_webhooks import grade_body, post
from tests.world import CLOSE, LEARNER, LEARNER_ADDRESS, NO_MAIL, TEACHER, World

__all__ = ["run"]

ALIAS = "lea-in-the-register"


def now() -> datetime:
    return datetime.now(UTC)


def person_id(world: World, sub: str = LEARNER) -> int:
    with world.tools.database.read() as session:
        return erasure.find_person(session, 1, sub=sub)


def count(world: World, model: type[Base], *conditions: Any) -> int:
    with world.tools.database.read() as session:
        return session.scalar(select(func.count()).select_from(model).where(*conditions)) or 0


def earned(world: World) -> None:
    """A learner with everything that there can be of one."""
    world.ready_course()
    world.grade(LEARNER, score=9)
    world.work()
    world.launch(LEARNER)
    with world.tools.database.write() as session:
        key = {"platform_id": 1, "person_id": erasure.find_person(session, 1, sub=LEARNER)}
        session.add(PersonAlias(kind=IdKind.SIS, value=ALIAS, **key))
        granted = {"kind": ExceptionKind.EXTENSION, "until": now(), "note": "Lea was ill"}
        made = {"created_by_id": session.get_one(Rule, 1).created_by_id, "created_at": now()}
        session.add(RuleException(rule_id=1, person_id=key["person_id"], **granted, **made))
        visit = {"user_name": "Lea", "addresses": [LEARNER_ADDRESS], "expires_at": datetime(2100, 1, 1, tzinfo=UTC)}
        session.add(LearnerVisit(session_digest="x", **visit))
        session.commit()


def everything(world: World) -> str:
    """Every text in every table, but for what names nobody: ids of other things that look like a person's."""
    found = []
    with world.tools.database.read() as session:
        for table in Base.metadata.sorted_tables:
            found += [str(tuple(row)) for row in session.execute(select(table))]
    return "\n".join(found)


def test_nothing_leads_to_an_erased_person(world: World) -> None:
    earned(world)
    key = person_id(world)
    assert "Lea Learner" in everything(world)
    receipt = erasure.erase(world.tools, key, "root", now())
    left = everything(world)
    for word in ("Lea", LEARNER_ADDRESS, ALIAS):
        # As a word: three letters in a row come by chance in what is sealed, and in ids.
        assert not re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", left), word
    for model in (PersonAlias, Result, Visit, Enrolment, RuleException, Backpack):
        assert count(world, model, model.person_id == key) == 0, model
    assert count(world, Event, Event.body.contains(f'"userId":"{LEARNER}"')) == 0
    assert count(world, LearnerVisit) == 0
    with world.tools.database.read() as session:
        person = session.get_one(Person, key)
        award = session.scalars(select(Award).where(Award.person_id == key)).one()
        steps = session.scalars(select(AwardStep.text).where(AwardStep.award_id == award.id)).all()
    assert (person.name, person.email, person.sub.startswith("erased-")) == ("", None, True)
    assert (award.recipient, award.reasons, steps) == (None, [], [erasure.WHY])
    assert (receipt.removed["results"], receipt.removed["exceptions"], receipt.removed["other ids"]) == (1, 1, 2)
    assert receipt.removed["events"] == 1
    assert [badge.outcome for badge in receipt.at_badgr] == ["stays"]
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra I"]


def test_others_lose_nothing(world: World) -> None:
    earned(world)
    others = count(world, Result, Result.person_id != person_id(world))
    erasure.erase(world.tools, person_id(world), "root", now())
    assert count(world, Result) == others > 0
    assert count(world, Person, Person.sub == CLOSE) == 1


def test_a_waiting_event_about_several_is_kept_for_the_others(world: World) -> None:
    both = grade_body()
    both["data"] = [grade_body(sub=LEARNER)["data"], grade_body(sub=NO_MAIL)["data"]]
    assert post(world, json.dumps(both).encode()).status_code == 202
    world.work()
    assert count(world, MissingId) == 1
    with world.tools.database.write() as session:
        told = {"sub": LEARNER, "name": "Lea", "created_at": now()}
        session.add(Person(platform_id=1, **told))
        session.commit()
    receipt = erasure.erase(world.tools, person_id(world), "root", now())
    assert receipt.removed["events"] == 1
    assert count(world, Person, Person.sub.startswith("erased-")) == 0
    world.work()
    world.launch(TEACHER)
    with world.tools.database.read() as session:
        subs = session.scalars(select(Person.sub).join(Result, Result.person_id == Person.id)).all()
        first = session.get_one(Event, 1)
    assert subs == [NO_MAIL]
    assert (first.body, first.status, first.reason) == (
        "",
        EventStatus.PROCESSED,
        "Its content was about somebody who was erased.",
    )


def test_what_badgr_has_is_revoked_only_when_asked(world: World) -> None:
    earned(world)
    receipt = erasure.erase(world.tools, person_id(world), "root", now(), revoke=True)
    assert [badge.outcome for badge in receipt.at_badgr] == ["is being revoked"]
    world.work()
    assert world.held_by(LEARNER_ADDRESS) == []
    with world.tools.database.read() as session:
        award = session.scalars(select(Award).join(Person).where(Person.sub.startswith("erased-"))).one()
    assert award.status is AwardStatus.REVOKED


def test_an_account_that_may_not_revoke_is_told(world: World) -> None:
    earned(world)
    with world.tools.database.write() as session:
        session.execute(text("update course set issuer_role = 'staff'"))
        session.commit()
    receipt = erasure.erase(world.tools, person_id(world), "root", now(), revoke=True)
    assert [badge.outcome for badge in receipt.at_badgr] == ["stays: the connected account may not revoke"]
    world.work()
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra I"]


def test_what_was_never_sent_is_removed_whole(world: World) -> None:
    world.ready_course()
    world.grade(NO_MAIL, score=9)
    world.work()
    key = person_id(world, NO_MAIL)
    assert count(world, Award, Award.person_id == key) == 1
    receipt = erasure.erase(world.tools, key, "root", now())
    assert (receipt.removed["awards"], receipt.at_badgr) == (1, [])
    assert count(world, Person, Person.id == key) == 0


def test_nobody_is_erased_while_their_badge_is_being_sent(world: World) -> None:
    earned(world)
    with world.tools.database.write() as session:
        session.execute(update(Award).where(Award.person_id == person_id(world)).values(status=AwardStatus.SENDING))
        session.commit()
    with pytest.raises(ConflictError, match="being sent"):
        erasure.erase(world.tools, person_id(world), "root", now())
    assert count(world, Person, Person.name == "Lea Learner") == 1


def test_a_teacher_who_is_erased_leaves_the_rules(world: World) -> None:
    world.ready_course()
    key = person_id(world, TEACHER)
    assert "Olive Owner" in everything(world)
    assert "Terry Teacher" in everything(world)
    receipt = erasure.erase(world.tools, key, "root", now())
    assert receipt.removed["Badgr connections"] == 1
    assert "Olive Owner" not in everything(world)
    assert "Terry Teacher" not in everything(world)
    with world.tools.database.read() as session:
        connection = session.scalars(select(Connection)).one()
        said = session.scalars(select(AuditEntry.detail).where(AuditEntry.action.startswith("Badgr account"))).all()
    assert (connection.badgr_user_name, connection.is_alive, set(said)) == ("", False, {""})
    assert count(world, Rule) == 1


def test_a_learner_who_is_erased_and_comes_back_gets_no_second_badge(world: World) -> None:
    earned(world)
    erasure.erase(world.tools, person_id(world), "root", now())
    world.launch(LEARNER)
    world.grade(LEARNER, score=10)
    world.work()
    assert world.held_by(LEARNER_ADDRESS) == ["Algebra I"]


def test_who_is_meant(world: World) -> None:
    earned(world)
    with world.tools.database.write() as session:
        assert erasure.find_person(session, 1, address=LEARNER_ADDRESS.upper()) == person_id(world)
        session.execute(update(Person).where(Person.sub == CLOSE).values(email=LEARNER_ADDRESS))
        for wrong in ({"address": LEARNER_ADDRESS}, {}, {"sub": LEARNER, "address": LEARNER_ADDRESS}):
            with pytest.raises(InvalidInputError):
                erasure.find_person(session, 1, **wrong)
        for unknown in ({"sub": "nobody"}, {"address": "no@example.org"}):
            with pytest.raises(NotFoundError):
                erasure.find_person(session, 1, **unknown)
        with pytest.raises(NotFoundError):
            erasure.find_person(session, 2, sub=LEARNER)


# -- the command and the page --


@pytest.fixture
def confirm(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    return lambda answer: monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: answer)


def test_the_command_shows_asks_and_prints_a_receipt(world: World, run: Run, confirm: Callable[[str], None]) -> None:
    earned(world)
    line = f"erase-person --platform 1 --address {LEARNER_ADDRESS}"
    status, said, _ = run(f"{line} --dry-run")
    assert (status, "Would be removed" in said, "1  results" in said) == (0, True, True)
    confirm("n")
    assert run(line)[0] == 1
    assert count(world, Person, Person.name == "Lea Learner") == 1
    confirm("y")
    status, said, _ = run(line)
    assert (status, "Removed on" in said, "Algebra I (" in said) == (0, True, True)
    assert run(line)[0] == 1


def test_the_command_for_programs(world: World, run: Run) -> None:
    earned(world)
    told = json.loads(run(f"erase-person --platform 1 --id {LEARNER} --yes --revoke --json")[1])
    assert (told["is_dry_run"], told["removed"]["results"]) == (False, 1)
    assert told["at_badgr"][0]["outcome"] == "is being revoked"
    with world.tools.database.read() as session:
        entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "person erased")).one()
    assert "results 1" in entry.detail
    assert LEARNER_ADDRESS not in entry.detail


def test_the_page_shows_asks_and_gives_a_receipt(world: World) -> None:
    earned(world)
    admins.create_account(world.tools, NAME, PASSWORD, "test", now())
    admin = sign_in(world).open(f"{world.tool_url}/admin/people?q=Lea Learner")
    admin.follow("/erase")
    assert "Erase Lea Learner" in admin.text
    admin.submit(None)
    assert (admin.status, "Say that you are sure" in admin.text) == (422, True)
    admin.browser.select_form("main form[method=post]").set_checkbox({"sure": True, "revoke": True})
    admin.browser.submit_selected()
    assert "Is being revoked" in admin.text
    assert "Ask the operator of the Badgr server" in admin.text
    assert "Nobody was found" in admin.open(f"{world.tool_url}/admin/people?q=Lea Learner").text
    world.work()
    assert world.held_by(LEARNER_ADDRESS) == []


def test_only_local_administrators_erase(world: World) -> None:
    earned(world)
    key = person_id(world)
    visitor = lms_admin(world)
    path = f"{world.tool_url}/admin/people/{key}/erase"
    assert "Erase" not in visitor.open(f"{world.tool_url}/admin/people?q=Lea").text
    assert get(visitor, path).status_code == 404
    assert ask(visitor, world, "POST", path.removeprefix(world.tool_url)).status_code == 404
    assert count(world, Person, Person.name == "Lea Learner") == 1
