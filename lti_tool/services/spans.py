"""Finds where a moment lies in a table that only grows: such tables have no index of their times, but ids in order."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, bindparam, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session


def first_id_since(
    session: Session, ids: InstrumentedAttribute[int], times: InstrumentedAttribute[datetime], since: datetime
) -> int:
    """The smallest id whose row is not older than a moment (one more than the largest id when all are older).

    Rows that were written side by side may be out of order by as long as a transaction takes.
    """
    # Two questions: SQLite answers both together by reading the whole table.
    lowest, highest = session.scalar(select(func.min(ids))), session.scalar(select(func.max(ids)))
    if lowest is None or highest is None:
        return 0
    low: int = lowest
    high: int = highest + 1
    # Made once: that costs more than the answer.
    query = select(ids, times).where(ids >= bindparam("middle")).order_by(ids).limit(1)
    while low < high:
        middle = (low + high) // 2
        found = session.execute(query, {"middle": middle}).one()
        if found[1] >= since:
            high = middle
        else:
            low = found[0] + 1
    return low


def unindexed(column: InstrumentedAttribute[Any]) -> ColumnElement[Any]:
    """A column to compare with where its index would mislead: the rows are read in the order of their ids instead."""
    return func.coalesce(column, column)


def hour_of(session: Session, times: InstrumentedAttribute[datetime]) -> ColumnElement[str]:
    """The hour (UTC) of a moment in a query, as text for `hour_from`."""
    if session.get_bind().dialect.name == "postgresql":
        return func.to_char(func.timezone("UTC", times), "YYYY-MM-DD HH24")
    return func.strftime("%Y-%m-%d %H", times)


def hour_from(text: str) -> datetime:
    """The moment at which an hour begins."""
    return datetime.strptime(text, "%Y-%m-%d %H").replace(tzinfo=UTC)
