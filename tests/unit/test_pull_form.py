"""What was read from an LMS is kept so that it can be read again."""

from datetime import UTC, datetime

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
)
from lti_tool.sources import pull

AT = datetime(2026, 11, 24, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.mark.parametrize(
    "facts",
    [
        (GradeFact(AT, 8.5, 10), None),
        (GradeFact(AT, 8.5, None, released=False), None),
        (GradeFact(AT, None, None, GradingProgress.NOT_READY), ProgressFact(AT, ActivityProgress.STARTED)),
        (None, ProgressFact(AT, ActivityProgress.COMPLETED, released=False)),
    ],
)
def test_what_is_kept_is_read_again(facts: tuple[GradeFact | None, ProgressFact | None]) -> None:
    ids = (Identifier(IdKind.LTI, "4"),)
    event = GradeEvent(ids, ids, ActivityRef("moodle:item:5", "Quiz 1", "quiz"), *facts, deployment_id="1")
    assert pull.KIND.parse(pull.write([event]).encode()) == [event]
