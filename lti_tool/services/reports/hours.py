"""Groups moments by the hour (UTC), on either database."""

from datetime import UTC, datetime

from sqlalchemy import ColumnElement, func
from sqlalchemy.orm import InstrumentedAttribute, Session


def hour_of(session: Session, times: InstrumentedAttribute[datetime]) -> ColumnElement[str]:
    """The hour (UTC) of a moment in a query, as text for `hour_from`."""
    if session.get_bind().dialect.name == "postgresql":
        return func.to_char(func.timezone("UTC", times), "YYYY-MM-DD HH24")
    return func.strftime("%Y-%m-%d %H", times)


def hour_from(text: str) -> datetime:
    """The moment at which an hour begins."""
    return datetime.strptime(text, "%Y-%m-%d %H").replace(tzinfo=UTC)
