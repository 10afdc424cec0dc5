"""Links to the pages of a long list."""

from dataclasses import dataclass
from typing import Any

from flask import url_for


@dataclass(frozen=True)
class Pager:
    """Where a reader is in a list, and the addresses of the neighbours."""

    number: int
    pages: int
    total: int
    previous_url: str | None
    next_url: str | None


def pager(endpoint: str, number: int, pages: int, total: int, **values: Any) -> Pager:
    """A pager for a list at this endpoint."""

    def address(page: int) -> str | None:
        return url_for(endpoint, page=page, **values) if 1 <= page <= pages else None

    return Pager(number, pages, total, address(number - 1), address(number + 1))
