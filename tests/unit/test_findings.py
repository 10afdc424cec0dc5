"""What is new in a result that was read, against what is known."""

from datetime import UTC, datetime, timedelta

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
    ResultState,
)
from lti_tool.services import findings

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
EARLIER, LATER = NOON - timedelta(minutes=1), NOON + timedelta(minutes=1)
KNOWN = ResultState(GradeFact(NOON, 8, 10), ProgressFact(NOON, ActivityProgress.COMPLETED))


def read(grade: GradeFact | None = None, progress: ProgressFact | None = None) -> GradeEvent:
    ids = (Identifier(IdKind.LTI, "4"),)
    return GradeEvent(ids, ids, ActivityRef("a", "A", "quiz"), grade, progress)


@pytest.mark.parametrize("at", [EARLIER, NOON, LATER])
def test_what_is_known_is_not_new_whatever_its_date(at: datetime) -> None:
    assert findings.news_of(KNOWN, read(GradeFact(at, 8, 10)), LATER) is None
    assert findings.news_of(KNOWN, read(progress=ProgressFact(at, ActivityProgress.COMPLETED)), LATER) is None


@pytest.mark.parametrize(
    "told",
    [
        read(GradeFact(LATER, 7, 10)),
        read(GradeFact(LATER, 8, 20)),
        read(GradeFact(LATER, 8, 10, released=False)),
        read(progress=ProgressFact(LATER, ActivityProgress.IN_PROGRESS)),
    ],
)
def test_a_change_is_new(told: GradeEvent) -> None:
    assert findings.news_of(KNOWN, told, LATER) == told


def test_what_is_older_than_what_is_known_is_not_kept_again_and_again() -> None:
    assert findings.news_of(KNOWN, read(GradeFact(EARLIER, 7, 10)), LATER) is None
    assert findings.news_of(KNOWN, read(progress=ProgressFact(EARLIER, ActivityProgress.IN_PROGRESS)), LATER) is None


@pytest.mark.parametrize("progress", findings.UNFINISHED)
def test_that_somebody_has_done_nothing_is_no_news(progress: ActivityProgress) -> None:
    assert findings.news_of(ResultState(), read(progress=ProgressFact(NOON, progress)), LATER) is None


def test_what_somebody_has_done_first_is_news() -> None:
    told = read(progress=ProgressFact(NOON, ActivityProgress.SUBMITTED))
    assert findings.news_of(ResultState(), told, LATER) == told


@pytest.mark.parametrize("at", [EARLIER, NOON, LATER])
def test_a_hand_in_is_compared_with_hand_ins_alone(at: datetime) -> None:
    told = read(progress=ProgressFact(NOON, ActivityProgress.SUBMITTED))
    assert findings.news_of(KNOWN, told, LATER) == told
    after = KNOWN.after(None, ProgressFact(at, ActivityProgress.SUBMITTED))
    assert after.progress == KNOWN.progress
    assert findings.news_of(after, told, LATER) is None


def test_a_completion_that_a_hand_in_had_hidden_is_found() -> None:
    """As after the migration: only the hand-in of a second attempt is known, the completion is dated before it."""
    known = ResultState().after(None, ProgressFact(NOON, ActivityProgress.SUBMITTED))
    told = read(progress=ProgressFact(EARLIER, ActivityProgress.COMPLETED))
    assert findings.news_of(known, told, LATER) == told


@pytest.mark.parametrize("at", [EARLIER, NOON])
def test_the_maximum_that_an_event_did_not_tell_is_added(at: datetime) -> None:
    half = ResultState(GradeFact(NOON, 8, None))
    news = findings.news_of(half, read(GradeFact(at, 8, 10)), LATER)
    assert news is not None
    assert half.after(news.grade, None).grade == GradeFact(NOON + findings.INSTANT, 8, 10)
    # Another grade than the one of the event is an older one.
    assert findings.news_of(half, read(GradeFact(EARLIER, 7, 10)), LATER) is None


def test_that_a_grade_is_hidden_is_believed_of_an_earlier_date_too() -> None:
    news = findings.news_of(KNOWN, read(GradeFact(EARLIER, 8, 10, released=False)), LATER)
    assert news is not None
    after = KNOWN.after(news.grade, None).grade
    assert after is not None
    assert not after.released


def test_that_a_grade_is_shown_is_believed_of_who_looked_after_it_was_hidden() -> None:
    """Moodle does not date a grade anew when it is only shown: the teacher would wait for the badge for ever."""
    hidden = ResultState(GradeFact(NOON, 8, 10, released=False))
    told = read(GradeFact(EARLIER, 8, 10))
    news = findings.news_of(hidden, told, LATER)
    assert news is not None
    after = hidden.after(news.grade, None).grade
    assert after is not None
    assert after.released
    assert findings.news_of(hidden, told, EARLIER) is None


def test_an_lms_that_does_not_say_whether_a_grade_is_shown_changes_nothing_about_it() -> None:
    hidden = ResultState(GradeFact(NOON, 8, 10, released=False))
    assert findings.news_of(hidden, read(GradeFact(LATER, 8, 10)), LATER, tells_release=False) is None
    news = findings.news_of(hidden, read(GradeFact(LATER, 9, 10)), LATER, tells_release=False)
    assert news is not None
    assert news.grade == GradeFact(LATER, 9, 10, released=False)


def test_a_grade_that_is_gone_is_news_only_where_one_is_known() -> None:
    gone = GradeFact(LATER, None, 10, GradingProgress.NOT_READY)
    assert findings.news_of(KNOWN, read(gone), LATER) == read(gone)
    assert findings.news_of(ResultState(), read(gone), LATER) is None
    assert findings.news_of(ResultState(gone), read(gone), LATER) is None


def test_lost_is_what_happened_since_the_last_read_and_not_just_now() -> None:
    found = [read(GradeFact(NOON + timedelta(minutes=n), 8, 10)) for n in range(5)]
    assert findings.lost(found, NOON, NOON + timedelta(minutes=3)) == 2
    assert findings.lost(found, None, NOON + timedelta(minutes=3)) == 0
