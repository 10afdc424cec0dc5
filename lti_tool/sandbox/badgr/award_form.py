"""Checks a request to award a badge as Badgr does, with its words (recorded in EXCHANGES.md §11, §21, §23)."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from lti_tool.sandbox.badgr.state import Assertion, Recipient, now

EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.[A-Za-z][A-Za-z0-9-]+")
URL = re.compile(r"https?://[^\s/]+(/\S*)?")
DATE_FORMAT = (
    "Datetime has wrong format. Use one of these formats instead: YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z]."
)
TYPES: dict[str, tuple[re.Pattern[str], str]] = {
    "email": (EMAIL, "Enter a valid email address."),
    "url": (URL, "Enter a valid URL."),
    "openBadgeId": (URL, "Enter a valid URL."),
    "telephone": (re.compile(r"\+\d{7,15}"), "Telephone number must be in E.164 format."),
}
HASHED_BY_DEFAULT = ("email", "telephone")


class InvalidError(Exception):
    """The request cannot be carried out; `fields` are the faults field by field."""

    def __init__(self, fields: Any = None, faults: list[Any] | None = None) -> None:
        super().__init__(fields, faults)
        self.fields, self.faults = fields or {}, faults or []


def read_award(told: dict[str, Any], badge_class_id: str, user_id: str) -> Assertion:
    """The assertion that is asked for, not yet stored; raises InvalidError with every fault."""
    faults: dict[str, Any] = {}

    def read(name: str, reader: Callable[[Any], Any], default: Any = None) -> Any:
        if name not in told:
            return default
        try:
            return reader(told[name])
        except InvalidError as error:
            faults[name] = error.fields
            return default

    recipient = read("recipient", _recipient)
    if "recipient" not in told:
        faults["recipient"] = ["This field is required"]
    narrative = read("narrative", _narrative)
    evidence = read("evidence", _evidence, [])
    issued_on = read("issuedOn", _past, now())
    expires = read("expires", lambda value: None if value is None else _moment(value))
    if faults:
        raise InvalidError(faults)
    assert isinstance(recipient, Recipient)
    return Assertion(badge_class_id, recipient, issued_on, user_id, expires, narrative, evidence)


def _recipient(told: Any) -> Recipient:
    if not isinstance(told, dict):
        raise InvalidError(["This field is required"])
    kind = told.get("type", "email")
    if kind not in TYPES:
        raise InvalidError({"type": [f'"{kind}" is not a valid choice.']})
    identity = told.get("identity")
    if not isinstance(identity, str) or not identity.strip():
        raise InvalidError({"identity": ["This field is required."]})
    pattern, message = TYPES[kind]
    identity = identity.strip()
    if not pattern.fullmatch(identity):
        raise InvalidError({"non_field_errors": [message]})
    hashed = told.get("hashed", kind in HASHED_BY_DEFAULT)
    return Recipient(_normal(identity, kind), kind, bool(hashed))


def _normal(identity: str, kind: str) -> str:
    if kind == "email":
        return identity.lower()
    if kind == "url":
        # The host alone is lower-cased.
        return re.sub(r"^(https?://[^/]+)", lambda found: found.group(1).lower(), identity)
    return identity


def _narrative(told: Any) -> str | None:
    if told is None:
        return None
    if told == "":
        raise InvalidError(["This field may not be blank."])
    if "![" in str(told):
        raise InvalidError(["Images not supported in markdown"])
    # What looks like a tag is stripped, text and all: "a<b and x > y" loses its middle.
    return re.sub(r"<[A-Za-z/!][^>]*>?", "", str(told))


def _evidence(told: Any) -> list[dict[str, str | None]]:
    if not isinstance(told, list):
        raise InvalidError(["This field may not be null."])
    read: list[dict[str, str | None]] = []
    for entry in told:
        url, narrative = entry.get("url"), entry.get("narrative")
        if not url and not narrative:
            raise InvalidError([{"non_field_errors": ["Either url or narrative is required"]}])
        if url and not URL.fullmatch(url):
            raise InvalidError([{"url": ["Enter a valid URL."]}])
        read.append({"url": url, "narrative": narrative})
    return read


def _past(told: Any) -> datetime:
    moment = _moment(told)
    if moment > now():
        raise InvalidError(["Only issuedOn dates in the past are acceptable."])
    return moment


def _moment(told: Any) -> datetime:
    if told is None:
        raise InvalidError(["This field may not be null."])
    try:
        if not re.match(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d", str(told)):
            raise ValueError(told)
        moment = datetime.fromisoformat(str(told))
    except ValueError:
        raise InvalidError([DATE_FORMAT]) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
