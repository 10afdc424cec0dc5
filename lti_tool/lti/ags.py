"""Assignment and Grade Services 2.0: the tool's own line items, their results, and scores written back."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode, urlsplit, urlunsplit

from lti_tool.bodies import finite, storable
from lti_tool.lti.errors import LtiServiceError
from lti_tool.lti.services import ServiceClient

SCOPE = "https://purl.imsglobal.org/spec/lti-ags/scope/"
LINE_ITEM_SCOPE, RESULT_SCOPE, SCORE_SCOPE = f"{SCOPE}lineitem", f"{SCOPE}result.readonly", f"{SCOPE}score"
LINE_ITEM_READ_SCOPE = f"{LINE_ITEM_SCOPE}.readonly"
LINE_ITEM_TYPE = "application/vnd.ims.lis.v2.lineitem+json"
LINE_ITEMS_TYPE = "application/vnd.ims.lis.v2.lineitemcontainer+json"
RESULTS_TYPE = "application/vnd.ims.lis.v2.resultcontainer+json"
SCORE_TYPE = "application/vnd.ims.lis.v1.score+json"
# "The platform has this one or a newer one": nothing is left to do (LMS.md §5.2).
STALE = 409
LONGEST_ID, LONGEST_URL, LONGEST_LABEL = 255, 500, 500


@dataclass(frozen=True)
class LineItem:
    """A column of the gradebook; `url` is its id and may carry a query."""

    url: str
    label: str
    maximum: float
    resource_id: str
    # Sakai says whether learners may see the grades of a column; others say nothing.
    is_released: bool | None = None


@dataclass(frozen=True)
class LineItemResult:
    """What a person has in a line item; `score` is None when there is none (any more)."""

    sub: str
    score: float | None
    maximum: float
    # Moodle dates results, though AGS does not ask for it.
    timestamp: datetime | None = None


@dataclass(frozen=True)
class LineItemResults:
    """All results of a line item with their version, if the platform tells one; none when they are `unchanged`.

    `unreadable` are the people whose results are listed, and of no use.
    """

    results: tuple[LineItemResult, ...]
    etag: str | None
    is_unchanged: bool
    unreadable: frozenset[str] = frozenset()


def part_url(line_item_url: str, part: str) -> str:
    """The address of a line item's `scores` or `results`: before its query (AGS 2.0 §3.3.1, §3.4.1)."""
    parts = urlsplit(line_item_url)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{part}"))


def find_line_item(
    client: ServiceClient, platform_id: int, line_items_url: str, resource_id: str, now: datetime
) -> LineItem | None:
    """The tool's line item with this resource id; raises LtiServiceError."""
    parts = urlsplit(line_items_url)
    query = "&".join(part for part in (parts.query, urlencode({"resource_id": resource_id})) if part)
    url = urlunsplit(parts._replace(query=query))
    # A platform that does not know the filter gives all of them.
    return next((i for i in read_line_items(client, platform_id, url, now) if i.resource_id == resource_id), None)


def reading_scope(granted: Collection[str]) -> str | None:
    """The scope by which line items can be read, of those that a course has; Moodle may grant reading only."""
    return next((scope for scope in (LINE_ITEM_SCOPE, LINE_ITEM_READ_SCOPE) if scope in granted), None)


def read_line_items(
    client: ServiceClient, platform_id: int, line_items_url: str, now: datetime, scope: str | None = None
) -> list[LineItem]:
    """Every line item of the tool in a course, without those that have no usable address; raises LtiServiceError."""
    pages = client.get_pages(platform_id, line_items_url, [scope or LINE_ITEM_SCOPE], LINE_ITEMS_TYPE, now)
    entries = [entry for page in pages if isinstance(page.body, list) for entry in page.body]
    return [_line_item(entry) for entry in entries if _address(entry) is not None]


def create_line_item(
    client: ServiceClient, platform_id: int, line_items_url: str, label: str, resource_id: str, now: datetime
) -> LineItem:
    """Make a column worth one point; raises LtiServiceError."""
    wanted = {"label": label, "scoreMaximum": 1, "resourceId": resource_id, "tag": "badge"}
    made = client.send(
        platform_id, "POST", line_items_url, [LINE_ITEM_SCOPE], now, body=wanted, content_type=LINE_ITEM_TYPE
    )
    return _line_item(made)


def rename_line_item(client: ServiceClient, platform_id: int, item: LineItem, label: str, now: datetime) -> LineItem:
    """Give a column another name; raises LtiServiceError."""
    wanted = {"id": item.url, "label": label, "scoreMaximum": item.maximum, "resourceId": item.resource_id}
    told = client.send(platform_id, "PUT", item.url, [LINE_ITEM_SCOPE], now, body=wanted, content_type=LINE_ITEM_TYPE)
    return _line_item(told if isinstance(told, dict) and told else wanted)


def delete_line_item(client: ServiceClient, platform_id: int, line_item_url: str, now: datetime) -> None:
    """Take a column away; one that is gone already is fine. Raises LtiServiceError."""
    try:
        client.send(platform_id, "DELETE", line_item_url, [LINE_ITEM_SCOPE], now)
    except LtiServiceError as error:
        if error.status != 404:
            raise


def post_score(
    client: ServiceClient, platform_id: int, line_item_url: str, sub: str, points: int, now: datetime
) -> None:
    """Write down whether a person has the badge: one of one point, or none; raises LtiServiceError."""
    score = {
        "userId": sub,
        "scoreGiven": points,
        "scoreMaximum": 1,
        "activityProgress": "Completed",
        "gradingProgress": "FullyGraded",
        # With parts of seconds: two scores must never have the same time (§3.4.10).
        "timestamp": now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }
    url = part_url(line_item_url, "scores")
    try:
        client.send(platform_id, "POST", url, [SCORE_SCOPE], now, body=score, content_type=SCORE_TYPE)
    except LtiServiceError as error:
        if error.status != STALE:
            raise


def read_results(
    client: ServiceClient, platform_id: int, line_item_url: str, now: datetime, *, etag: str | None = None
) -> LineItemResults:
    """Every result of a line item; raises LtiServiceError. A result of nobody, or of an impossible score, is left out.

    With the `etag` of an earlier read the platform may say that nothing has changed since.
    """
    url = part_url(line_item_url, "results")
    pages = list(client.get_pages(platform_id, url, [RESULT_SCOPE], RESULTS_TYPE, now, etag=etag))
    entries = [entry for page in pages if isinstance(page.body, list) for entry in page.body]
    # The version of the first of several pages says nothing about the others.
    version = pages[0].etag if len(pages) == 1 else None
    of = [(sub, entry) for entry in entries if (sub := _sub(entry)) is not None]
    # That is not to say that there is no score.
    odd = {sub for sub, entry in of if entry.get("resultScore") is not None and finite(entry["resultScore"]) is None}
    found = tuple(_result(sub, entry) for sub, entry in of if sub not in odd)
    return LineItemResults(found, version, pages[0].is_unchanged, frozenset(odd))


def _sub(entry: Any) -> str | None:
    return _id(entry.get("userId"), LONGEST_ID) if isinstance(entry, dict) else None


def _result(sub: str, entry: dict[str, Any]) -> LineItemResult:
    maximum = finite(entry.get("resultMaximum"))
    return LineItemResult(sub, finite(entry.get("resultScore")), maximum or 1.0, _moment(entry.get("timestamp")))


def _line_item(entry: Any) -> LineItem:
    url = _address(entry)
    if url is None:
        raise LtiServiceError(
            "The LMS gave a line item without an address. Please show this to the administrator of the LMS.",
            retryable=False,
            status=200,
        )
    maximum = finite(entry.get("scoreMaximum"))
    released = entry.get("releaseToStudent")
    return LineItem(
        url,
        storable(str(entry.get("label") or "")).strip()[:LONGEST_LABEL],
        maximum or 1.0,
        str(entry.get("resourceId") or ""),
        released if isinstance(released, bool) else None,
    )


def _address(entry: Any) -> str | None:
    url = _id(entry.get("id"), LONGEST_URL) if isinstance(entry, dict) else None
    return url if url is not None and url.startswith(("https://", "http://")) else None


def _id(value: Any, longest: int) -> str | None:
    """An id as a text; None for one that cannot be kept, which is none of ours."""
    is_number = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
    text = str(value) if is_number or isinstance(value, str) else ""
    return text if 0 < len(text) <= longest and storable(text) == text else None


def _moment(value: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        return moment.astimezone(UTC) if moment is not None and moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None
