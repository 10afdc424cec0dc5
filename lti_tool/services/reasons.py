"""The reasons of a decision in rows: as an award keeps them, and as pages show them."""

from collections.abc import Iterator
from typing import Any

from lti_tool.domain.criteria import BadgeEarned, Group
from lti_tool.domain.decision import Decision, Reason
from lti_tool.services.facts import FactBook


def stored_reasons(decision: Decision, book: FactBook) -> list[dict[str, Any]]:
    """The reasons as an award keeps them: one row each for a condition or group, in order, with how deep it stands."""
    return [
        {
            "activity": _subject(reason, book),
            "met": reason.met,
            "detail": reason.detail,
            "occurred_at": reason.occurred_at.isoformat() if reason.occurred_at else None,
            "event": reason.event_id,
            "depth": depth,
            "group": bool(reason.parts),
        }
        for reason, depth in reason_rows(decision.root)
    ]


def reason_rows(reason: Reason, depth: int = 0) -> Iterator[tuple[Reason, int]]:
    """A reason and those of its parts, in reading order, with how deep each stands."""
    yield reason, depth
    for part in reason.parts:
        yield from reason_rows(part, depth + 1)


def _subject(reason: Reason, book: FactBook) -> str:
    if isinstance(reason.criteria, Group):
        number, of = reason.criteria.number, len(reason.criteria.parts)
        return "All of these" if number == of else "Any of these" if number == 1 else f"At least {number} of these"
    if isinstance(reason.criteria, BadgeEarned):
        return f"Badge {book.badge_names.get(reason.criteria.badge_class_id, '')}".strip()
    if reason.activity_id is None:
        return "A teacher's approval"
    return book.titles.get(reason.activity_id, "An activity that is gone")
