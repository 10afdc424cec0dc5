"""The administrator's pages about events: the list, one event, what fits nothing yet, playing them again; retention."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, event, func, insert, select, update

from lti_tool.domain.events import IdKind
from lti_tool.models import Award, AwardStep, Event, EventStatus, HoldReason, MissingId, Result, Source
from lti_tool.sandbox.visitor import Visitor
from lti_tool.services import admins, intake, sources
from lti_tool.services.events import remove_old_bodies
from lti_tool.services.reports import events as reports
from lti_tool.services.sources import SourceData
from tests.functional.test_admin import NAME, PASSWORD, actions, get, sign_in
from tests.functional.test_webhooks import grade_body, post
from tests.world import BIOLOGY, LEARNER, LEARNER_ADDRESS, TEACHER, World


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture
def admin(world: World) -> Visitor:
    admins.create_account(world.tools, NAME, PASSWORD, "test", now())
    return sign_in(world)


def page(world: World, visitor: Visitor, path: str = "") -> Visitor:
    return visitor.open(f"{world.tool_url}/admin/sources/1/events/{path}")


def send(world: World, **body: object) -> int:
    """Send an event and work on it; its id."""
    assert post(world, json.dumps(grade_body(**body)).encode()).status_code == 202  # type: ignore[arg-type]
    world.work()
    with world.tools.database.read() as session:
        return session.scalar(select(func.max(Event.id))) or 0


def many(world: World, number: int, source_id: int = 1, **told: object) -> None:
    values = {
        "source_id": source_id,
        "body": "[]",
        "status": EventStatus.PROCESSED,
        "attempts": 1,
        "due_at": now(),
        "received_at": now(),
        "repeats": 0,
        "outcome": {"new": 1},
    }
    with world.tools.database.write() as session:
        session.execute(insert(Event), [values | told | {"delivery_id": f"d{source_id}-{n}"} for n in range(number)])
        session.commit()


# -- the list --


def test_the_list_is_turned_page_by_page(world: World, admin: Visitor) -> None:
    many(world, reports.SHOWN + 5)
    rows = page(world, admin).page.select("tbody tr")
    assert len(rows) == reports.SHOWN
    assert rows[0].th.text == str(reports.SHOWN + 5)
    assert [row.th.text for row in admin.follow("before=").page.select("tbody tr")] == ["5", "4", "3", "2", "1"]
    assert admin.page.select_one("nav.pager") is None


def test_events_of_other_sources_are_not_listed(world: World, admin: Visitor) -> None:
    other = sources.add(world.tools, 1, "standard", SourceData("Other", {}), now()).id
    many(world, 2, source_id=other)
    assert "No event" in page(world, admin).text
    assert get(admin, f"{world.tool_url}/admin/sources/1/events/1").status_code == 404
    assert get(admin, f"{world.tool_url}/admin/sources/{other}/events/1").status_code == 200


def test_the_events_of_other_sources_are_not_read(world: World, admin: Visitor) -> None:
    many(world, 3)
    send(world)
    with statements(world) as asked, world.tools.database.read() as session:
        for address in ("/sources", "/sources/1", "/sources/1/events", "/sources/1/events?status=processed",
                        "/sources/1/events?status=unmatched&before=4", "/sources/1/events/1"):  # fmt: skip
            assert admin.open(f"{world.tool_url}/admin{address}").status == 200
        remove_old_bodies(session, world.tools.settings, now())
    of_events = [(sql, values) for sql, values in asked if re.search(r"\b(FROM|JOIN|UPDATE) event\b", sql)]
    told = [(sql, plan) for sql, values in of_events for plan in plans(world, sql, values)]
    assert told
    slow = re.compile(r"^SCAN event\b|Seq Scan on event\b|TEMP B-TREE FOR ORDER BY|(autoindex|uq)_event")
    assert [(sql, plan) for sql, plan in told if slow.search(plan)] == []
    for index in (
        "ix_event_source_id_received_at_id",
        "ix_event_source_id_status_received_at_id",
        "ix_event_with_body",
    ):
        assert any(f"{index} " in plan for _, plan in told), index


@contextmanager
def statements(world: World) -> Iterator[list[tuple[str, Any]]]:
    """What the database is asked meanwhile."""
    asked: list[tuple[str, Any]] = []

    def note(connection: object, cursor: object, statement: str, values: object, *_: object) -> None:
        asked.append((statement, values))

    event.listen(world.tools.database.engine, "before_cursor_execute", note)
    try:
        yield asked
    finally:
        event.remove(world.tools.database.engine, "before_cursor_execute", note)


def plans(world: World, sql: str, values: Any) -> list[str]:
    """How the database would go about it if it had very many rows."""
    with world.tools.database.read() as session:
        connection = session.connection()
        if connection.dialect.name == "sqlite":
            return [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)]
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        return [row[0] for row in connection.exec_driver_sql(f"EXPLAIN {sql}", values)]


def test_events_are_found_by_state_and_by_delivery_id(world: World, admin: Visitor) -> None:
    many(world, 3)
    number = send(world)
    for query, found in (
        ("status=unmatched", [number]),
        ("status=processed", [3, 2, 1]),
        ("status=failed", []),
        ("status=nonsense", [number, 3, 2, 1]),
        ("q=msg_1", [number]),
        ("q=2", [2]),
        ("q=msg_", []),
    ):
        rows = page(world, admin, f"?{query}").page.select("tbody tr")
        assert [int(row.th.text) for row in rows] == found, query


# -- one event --


def test_an_event_shows_what_it_said_and_what_came_of_it(world: World, admin: Visitor) -> None:
    world.ready_course()
    number = send(world)
    post(world, json.dumps(grade_body()).encode())
    text = page(world, admin, str(number)).text
    assert "1 new" in text
    assert "Came again 1 time" in text
    assert "Algebra I for Lea Learner in Biology 101" in text
    assert json.loads(admin.page.pre.text)["data"][0]["score"]["userId"] == LEARNER
    many(world, 1)
    with world.tools.database.read() as session:
        other = session.scalar(select(func.max(Event.id)))
    assert "Awards that it led to None." in page(world, admin, str(other)).text


def test_late_future_and_unmatched_are_said_in_words(world: World, admin: Visitor) -> None:
    many(world, 1, outcome={"late": 2, "from_the_future": 1, "unmatched": 0}, reason="Something was odd.")
    text = page(world, admin, "1").text
    assert "2 older or less than what was known" in text
    assert "1 dated ahead of our clock" in text
    assert "nobody knows" not in text
    assert "Something was odd." in text


def test_a_body_that_is_no_json_is_shown_as_it_came(world: World, admin: Visitor) -> None:
    many(world, 1, body="a=1&b=<script>")
    assert page(world, admin, "1").page.pre.text == "a=1&b=<script>"


def test_one_event_is_worked_on_again(world: World, admin: Visitor) -> None:
    number = send(world)
    world.launch(TEACHER)
    with world.tools.database.write() as session:
        session.execute(update(Event).values(status=EventStatus.FAILED))
        session.commit()
    page(world, admin, str(number)).submit("/replay")
    assert "being worked on once more" in admin.text
    world.work()
    assert "Done" in page(world, admin, str(number)).text
    assert "events replayed" in actions(world)


# -- again --


def test_a_replay_says_how_many_first_and_then_how_many_are_left(world: World, admin: Visitor) -> None:
    world.ready_course()
    send(world)
    before = world.held_by(LEARNER_ADDRESS)
    with world.tools.database.read() as session:
        number = session.scalar(select(func.count()).select_from(Event))
    page(world, admin, "replay").submit("/replay")
    assert f"{number} events" in admin.text
    assert "From the first one" in admin.text
    with world.tools.database.read() as session:
        assert session.scalar(select(func.count()).where(Event.status == EventStatus.RECEIVED)) == 0
    admin.submit("/replay", button=("confirmed", "yes"))
    assert f"{number} events of a replay left" in admin.text
    world.work()
    assert "of a replay left" not in admin.open(f"{world.tool_url}/admin/sources/1").text
    assert world.held_by(LEARNER_ADDRESS) == before == ["Algebra I"]


def test_a_replay_of_a_time_takes_only_that(world: World, admin: Visitor) -> None:
    many(world, 2, received_at=datetime(2026, 1, 1, 10, tzinfo=UTC))
    many(world, 1, source_id=sources.add(world.tools, 1, "standard", SourceData("Other", {}), now()).id)
    with world.tools.database.write() as session:
        session.execute(update(Event).where(Event.id == 1).values(received_at=datetime(2026, 1, 3, 10, tzinfo=UTC)))
        session.commit()
    page(world, admin, "replay").submit("/replay", {"since": "2026-01-02T00:00", "until": "2026-01-04T00:00"})
    assert "1 event Received from 2026-01-02 00:00 UTC until" in admin.text
    form = admin.page.select("form[action*='/replay']")[0]
    assert [i["value"] for i in form.select("input[type=hidden]")][1:] == ["2026-01-02T00:00", "2026-01-04T00:00"]
    admin.submit("/replay", button=("confirmed", "yes"))
    with world.tools.database.read() as session:
        again = session.scalars(select(Event.id).where(Event.status == EventStatus.RECEIVED)).all()
    assert again == [1]


@pytest.mark.parametrize(
    ("since", "until", "said"), [("soon", "", "from: must be"), ("2026-02-01T00:00", "2026-01-01T00:00", "until:")]
)
def test_a_time_that_is_none_is_told(world: World, admin: Visitor, since: str, until: str, said: str) -> None:
    page(world, admin, "replay").submit("/replay", {"since": since, "until": until})
    assert admin.status == 422
    assert said in admin.text


def test_a_replay_that_would_award_to_many_waits_for_a_teacher(world: World, admin: Visitor) -> None:
    world.ready_course()
    send(world)
    with world.tools.database.write() as session:
        session.execute(delete(AwardStep))
        session.execute(delete(Award))
        session.commit()
    object.__setattr__(world.tools.settings, "brake_awards", 1)
    page(world, admin, "replay").submit("/replay").submit("/replay", button=("confirmed", "yes"))
    world.work()
    with world.tools.database.read() as session:
        assert set(session.scalars(select(Award.hold_reason))) == {HoldReason.BRAKE}


# -- what fits nothing --


def test_ids_that_nobody_knows_are_listed_until_they_are_known(world: World, admin: Visitor) -> None:
    send(world)
    text = page(world, admin, "unmatched").text
    assert f"{BIOLOGY} LTI id; 1 event since" in text
    assert f"Nobody has opened Badges in course {BIOLOGY} yet" in text
    assert "somebody who teaches it opens Badges there once" in text
    world.launch(TEACHER)
    assert "Every event has found its course" in page(world, admin, "unmatched").text


def test_ids_of_every_kind_are_listed(world: World, admin: Visitor) -> None:
    many(world, 1, status=EventStatus.UNMATCHED)
    with world.tools.database.write() as session:
        for kind in IdKind:
            session.add(MissingId(event_id=1, platform_id=1, kind=kind, value=f"one {kind.value}"))
        session.commit()
    shown = page(world, admin, "unmatched")
    assert shown.status == 200
    assert all(f"one {kind.value}" in shown.text for kind in IdKind)


def test_what_no_id_can_mend_is_told_with_its_reason(world: World, admin: Visitor) -> None:
    many(world, 3, status=EventStatus.UNMATCHED, reason="This source may not match by address.")
    assert "3 events This source may not match by address." in page(world, admin, "unmatched").text


# -- retention --


def test_old_contents_are_removed_and_young_ones_are_not(world: World, admin: Visitor) -> None:
    many(world, 1, received_at=now() - timedelta(days=366), body='{"who": "somebody"}')
    many(world, 1, source_id=sources.add(world.tools, 1, "standard", SourceData("Other", {}), now()).id)
    world.sweep()
    with world.tools.database.read() as session:
        kept = session.execute(select(Event.id, Event.body != "", Event.body_removed_at.is_(None)).order_by(Event.id))
        assert [tuple(row) for row in kept] == [(1, False, False), (2, True, True)]
    assert "Its content was removed on" in page(world, admin, "1").text
    assert intake.process(world.tools, 1, now()) is None
    assert sources.replay(world.tools, 1, "test", now(), event_id=1) == 0


def test_what_fits_nothing_is_not_kept_longer_than_the_rest(world: World, admin: Visitor) -> None:
    waits = send(world)
    assert post(world, json.dumps(grade_body()).encode()).json() == {"id": waits, "repeat": True}
    world.sweep()
    assert page(world, admin, "unmatched").page.select(".findings")
    with world.tools.database.write() as session:
        session.execute(update(Event).values(received_at=now() - timedelta(days=366)))
        session.commit()
    world.sweep()
    assert "Every event has found" in page(world, admin, "unmatched").text
    assert "fitted no course or person" in page(world, admin, str(waits)).text


def test_what_is_not_worked_on_yet_stays_however_old(world: World) -> None:
    many(world, 1, received_at=now() - timedelta(days=366), status=EventStatus.RECEIVED, due_at=now() + timedelta(1))
    world.sweep()
    with world.tools.database.read() as session:
        assert session.scalars(select(Event.body)).all() == ["[]"]


def test_contents_are_kept_for_ever_where_that_is_wanted(world: World) -> None:
    object.__setattr__(world.tools.settings, "event_retention_days", 0)
    many(world, 1, received_at=now() - timedelta(days=4000))
    world.sweep()
    with world.tools.database.read() as session:
        assert session.scalars(select(Event.body)).all() == ["[]"]


def test_an_event_whose_id_becomes_known_leaves_nothing_missing(world: World) -> None:
    send(world)
    world.launch(TEACHER)
    with world.tools.database.read() as session:
        assert session.scalar(select(func.count()).select_from(MissingId)) == 0
        assert session.scalar(select(func.count()).select_from(Result)) == 1
        assert session.scalars(select(Source.id)).all() == [1]
