"""What must happen again and again: find due rows, show that we are alive, throw away what has expired."""

from datetime import datetime, timedelta

from sqlalchemy import delete, select

from lti_tool.db import get_or_create
from lti_tool.lti import keys
from lti_tool.models import (
    AdminVisit,
    Award,
    AwardStatus,
    Course,
    Heartbeat,
    HoldReason,
    LearnerVisit,
    OneTimeToken,
    Visit,
)
from lti_tool.services import (
    audit,
    changes,
    delivery,
    evaluation,
    events,
    health,
    intake,
    matching,
    pulls,
    revocation,
    roster,
    runs,
    scores,
)
from lti_tool.services.reports import delays
from lti_tool.toolbox import Toolbox

ALIVE_WITHIN = timedelta(minutes=3)
# An event that waits for an id which is known, and still fits nobody, is looked at again once an hour.
MISSED_AFTER = timedelta(minutes=30)


def sweep(tools: Toolbox, now: datetime) -> list[tuple[str, int]]:
    """Every row that is due, as kind and id, whatever messages were lost; expired rows are removed on the way."""
    beat(tools, "worker", now)
    with tools.database.write() as session:
        health.raise_alarms(session, now)
        if now.minute == 0:
            delays.raise_alarm(session, tools.settings.delay_objective_seconds, now)
        events.remove_old_bodies(session, tools.settings, now)
        for expiring in (OneTimeToken, Visit, AdminVisit, LearnerVisit):
            session.execute(delete(expiring).where(expiring.expires_at < now))
        days = tools.settings.key_rotation_days
        if days and keys.keep_fresh(session, tools.vault, timedelta(days=days), now):
            audit.note(session, "schedule", "key rotated", now)
        session.commit()
    runs.finish_left_open(tools, now)
    with tools.database.read() as session:
        waiting_for_roster: set[int] = set(
            session.scalars(
                select(Award.course_id)
                .join(Course)
                .where(
                    Award.status == AwardStatus.HELD,
                    Award.hold_reason == HoldReason.NOT_ON_ROSTER,
                    Course.memberships_url.is_not(None),
                    *roster.is_due(roster.STALE_AFTER, now),
                )
                .distinct()
            )
        )
        due = [("event", event_id) for event_id in intake.due_events(session, now)]
        if now.minute == 0:
            due += [("event", event_id) for event_id in matching.missed(session, now - MISSED_AFTER)]
        due += [("award", award_id) for award_id in delivery.due_awards(session, now)]
        due += [("revocation", award_id) for award_id in revocation.due_revocations(session, now)]
        due += [("score", award_id) for award_id in scores.due_scores(session, now)]
        due += [("person", enrolment_id) for enrolment_id in evaluation.due_people(session, now)]
        due += [("pull", course_id) for course_id in pulls.due_courses(session, now)]
        if pause := timedelta(minutes=tools.settings.pull_minutes):
            waiting_for_roster = {*waiting_for_roster, *roster.due_courses(session, pause, now)}
        due += [("roster", course_id) for course_id in sorted(waiting_for_roster)]
    return due + [("changes", connection_id) for connection_id in changes.due_connections(tools, now)]


def beat(tools: Toolbox, name: str, now: datetime) -> None:
    """Note that this kind of process is at work."""
    with tools.database.write() as session:
        get_or_create(session, Heartbeat, {"name": name}, seen_at=now).seen_at = now
        session.commit()


def is_worker_alive(tools: Toolbox, now: datetime) -> bool:
    """Whether a worker was seen lately."""
    with tools.database.read() as session:
        heartbeat = session.get(Heartbeat, "worker")
        return heartbeat is not None and heartbeat.seen_at > now - ALIVE_WITHIN
