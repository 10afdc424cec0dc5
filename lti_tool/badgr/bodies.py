"""What is sent to Badgr, in its words and with its traps (BADGR.md §4 to §6)."""

from datetime import UTC, datetime, timedelta
from typing import Any

from lti_tool.badgr.assertions import NewAward
from lti_tool.badgr.types import NewBadgeClass, NewIssuer

# A server refuses a date ahead of its own clock, even by seconds (BADGR.md §6.1): recent ones are left to it.
CLOCK_MARGIN = timedelta(minutes=1)


def award(told: NewAward, now: datetime) -> dict[str, Any]:
    """The body of an award; `now` is the time by the server's clock."""
    body: dict[str, Any] = {
        "recipient": {"identity": told.recipient.strip().lower(), "type": "email", "hashed": True},
        "allowDuplicateAwards": told.allow_duplicate,
        "notify": told.notify,
    }
    if told.issued_on is not None and told.issued_on < now - CLOCK_MARGIN:
        body["issuedOn"] = _stamp(told.issued_on)
    if told.expires is not None:
        body["expires"] = _stamp(told.expires)
    # An empty narrative is refused; null is what leaves it out.
    if told.narrative:
        body["narrative"] = markdown(told.narrative)
    if told.evidence_url:
        body["evidence"] = [{"url": told.evidence_url}]
    return body


def badge_class(told: NewBadgeClass) -> dict[str, Any]:
    """The body of a badge class; a picture that is a web address is left as it is there."""
    return {
        "name": told.name,
        "description": told.description,
        "image": told.image,
        "criteriaNarrative": markdown(told.criteria_narrative) or None,
        "criteriaUrl": told.criteria_url or None,
        "tags": list(told.tags),
        "alignments": [
            {
                "targetName": a.name,
                "targetUrl": a.url,
                "targetCode": a.code,
                "targetDescription": a.description,
                "targetFramework": a.framework,
            }
            for a in told.alignments
        ],
        "expires": {"amount": told.lifetime.amount, "duration": told.lifetime.unit} if told.lifetime else None,
    }


def issuer(told: NewIssuer) -> dict[str, Any]:
    """The body of an issuer; without `staff`, which leaves the staff as it is."""
    body = {"name": told.name, "url": told.url, "email": told.email, "description": told.description}
    return body | ({"image": told.image} if told.image else {})


def markdown(text: str) -> str:
    """Markdown as Badgr takes it: it strips what looks like a tag, text and all, and refuses pictures."""
    return text.replace("<", "&lt;").replace("![", "! [")


def unescaped(text: str) -> str:
    """What was entered, of what `markdown` made of it."""
    return text.replace("&lt;", "<")


def _stamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
