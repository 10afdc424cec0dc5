"""How templates write moments and shares."""

from datetime import UTC, datetime

from flask import Flask


def register(app: Flask) -> None:
    """Give the templates their filters."""
    app.jinja_env.filters.update(moment=moment, day=day, percent=percent)


def moment(value: datetime) -> str:
    """23 Nov 2026, 18:10 UTC."""
    utc = value.astimezone(UTC)
    return f"{utc.day} {utc:%b %Y, %H:%M} UTC"


def day(value: datetime) -> str:
    """23 Nov 2026."""
    utc = value.astimezone(UTC)
    return f"{utc.day} {utc:%b %Y}"


def percent(value: float) -> str:
    """0.734 as 73 %; only a whole is 100 %."""
    return f"{int(value * 100)} %"
