"""Finds where a moment lies in a table that only grows: such tables have no index of their times, but ids in order."""

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import InstrumentedAttribute, Session


def first_id_since(
    session: Session, ids: InstrumentedAttribute[int], times: InstrumentedAttribute[datetime], since: datetime
) -> int:
    """The smallest id whose row is not older than a moment (one more than the largest id when all are older).

    Rows that were written side by side may be out of order by as long as a transaction takes.
    """
    lowest, highest = session.execute(select(func.min(ids), func.max(ids))).one()
    if lowest is None:
        return 0
    low, high = int(lowest), int(highest) + 1
    while low < high:
        middle = (low + high) // 2
        found = session.execute(select(ids, times).where(ids >= middle).order_by(ids).limit(1)).one()
        if found[1] >= since:
            high = middle
        else:
            low = int(found[0]) + 1
    return low
