"""What is new in a result that was read, against what is known."""

from datetime import UTC, datetime, timedelta

import pytest

from lti_tool.domain.events import (
    ActivityProgress,
    ActivityRef,
    GradeEvent,
    GradeFact,
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
    assert findings.news_of(KNOWN, read(GradeFact(at, 8, 10))) is None
    assert findings.news_of(KNOWN, read(progress=ProgressFact(at, ActivityProgress.COMPLETED))) is None


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
    assert findings.news_of(KNOWN, told) == told


def test_what_is_older_than_what_is_known_is_not_kept_again_and_again() -> None:
    assert findings.news_of(KNOWN, read(GradeFact(EARLIER, 7, 10))) is None
    assert findings.news_of(KNOWN, read(progress=ProgressFact(EARLIER, ActivityProgress.SUBMITTED))) is None


@pytest.mark.parametrize("progress", findings.UNFINISHED)
def test_that_somebody_has_done_nothing_is_no_news(progress: ActivityProgress) -> None:
    assert findings.news_of(ResultState(), read(progress=ProgressFact(NOON, progress))) is None


def test_what_somebody_has_done_first_is_news() -> None:
    told = read(progress=ProgressFact(NOON, ActivityProgress.SUBMITTED))
    assert findings.news_of(ResultState(), told) == told


@pytest.mark.parametrize("at", [EARLIER, NOON])
def test_the_maximum_that_an_event_did_not_tell_is_added(at: datetime) -> None:
    half = ResultState(GradeFact(NOON, 8, None))
    news = findings.news_of(half, read(GradeFact(at, 8, 10)))
    assert news is not None
    assert half.after(news.grade, None).grade == GradeFact(NOON + findings.INSTANT, 8, 10)
    # Another grade than the one of the event is an older one.
    assert findings.news_of(half, read(GradeFact(EARLIER, 7, 10))) is None


def test_that_a_grade_is_hidden_is_believed_of_an_earlier_date_too() -> None:
    news = findings.news_of(KNOWN, read(GradeFact(EARLIER, 8, 10, released=False)))
    assert news is not None
    after = KNOWN.after(news.grade, None).grade
    assert after is not None
    assert not after.released
    # That it is shown is not: what hid it may be newer.
    hidden = ResultState(GradeFact(NOON, 8, 10, released=False))
    assert findings.news_of(hidden, read(GradeFact(EARLIER, 8, 10))) is None


def test_lost_is_what_happened_since_the_last_read_and_not_just_now() -> None:
    found = [read(GradeFact(NOON + timedelta(minutes=n), 8, 10)) for n in range(5)]
    assert findings.lost(found, NOON, NOON + timedelta(minutes=3)) == 2
    assert findings.lost(found, None, NOON + timedelta(minutes=3)) == 0
