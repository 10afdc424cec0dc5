"""The results that AGS shows the tool: those of its own line items (LMS.md §5.1)."""

import hashlib
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from lti_tool.domain.events import ActivityRef, GradeEvent, GradeFact, GradingProgress, Identifier, IdKind
from lti_tool.lti import ags
from lti_tool.lti.deeplinking import is_badge_column
from lti_tool.lti.errors import LtiServiceError
from lti_tool.lti.services import ServiceClient
from lti_tool.models import Activity, Course, Enrolment, Person, Result
from lti_tool.services.findings import LINE_ITEM
from lti_tool.services.reading import Reading
from lti_tool.services.results import CLOCK_SKEW
from lti_tool.toolbox import Toolbox
from lti_tool.vault import Vault

# Answers that say something about the line item that was asked for: it is gone, or the platform stumbles over it.
FORBIDDEN = 403
OF_ONE_ITEM = frozenset({400, FORBIDDEN, 404, 410, 500})
# A column may be another's; so many in a row say that the tool may read none.
REFUSED_IN_A_ROW = 3


def can_read_ags(_session: Session, _vault: Vault, course: Course) -> bool:
    """Whether the LMS lets the tool list line items and read results in this course."""
    is_listed = course.line_items_url is not None and ags.reading_scope(course.service_scopes) is not None
    return is_listed and ags.RESULT_SCOPE in course.service_scopes


def read_ags(tools: Toolbox, course: Course, marks: Mapping[str, str], now: datetime) -> Reading:
    """Every result of every line item that is not a badge's own column; raises LtiServiceError.

    Line items whose results are still of the version in `marks` are left out. One that cannot be read does not keep the
    others from being read, unless the platform cannot be reached or lets nobody in. Who is missing in a line item has
    no result (any more).
    """
    client = ServiceClient(tools.database, tools.vault, tools.http)
    platform_id = course.deployment.platform_id
    assert course.line_items_url is not None
    events, seen, fault, refused = list[GradeEvent](), dict[str, str](), None, 0
    # The list itself is always read whole: without it there are no addresses to ask for results.
    scope = ags.reading_scope(course.service_scopes)
    items = ags.read_line_items(client, platform_id, course.line_items_url, now, scope)
    for item in items:
        if is_badge_column(item.resource_id):
            continue
        key = _digest(item)
        try:
            found = ags.read_results(client, platform_id, item.url, now, etag=marks.get(key))
        except LtiServiceError as error:
            fault = fault or error
            refused = refused + 1 if error.status == FORBIDDEN else 0
            if error.status in OF_ONE_ITEM and refused < REFUSED_IN_A_ROW:
                continue
            break
        refused = 0
        gone = [] if found.is_unchanged else _gone(tools, course, item, found)
        # Of what came in the last minutes the read may know nothing yet: it is to be read again.
        is_settled = all(at <= now - CLOCK_SKEW for _, at in gone)
        if found.etag is not None and is_settled:
            seen[key] = found.etag
        none = [ags.LineItemResult(sub, None, item.maximum) for sub, _ in gone]
        events += [_event(course, item, result, now) for result in (*found.results, *none)]
    silent = frozenset(item.url for item in items if item.is_released is None)
    return Reading(tuple(events), seen, silent, fault)


def _gone(tools: Toolbox, course: Course, item: ags.LineItem, found: ags.LineItemResults) -> list[tuple[str, datetime]]:
    """Who is in the course and had a score in a line item that does not list them, by `sub`; with the time of it."""
    query = (
        select(Person.sub, Result.graded_at)
        .join(Result, Result.person_id == Person.id)
        .join(Activity, Activity.id == Result.activity_id)
        .join(Enrolment, (Enrolment.person_id == Person.id) & (Enrolment.course_id == Activity.course_id))
        .where(Activity.course_id == course.id, Activity.external_id == item.url)
        .where(Result.score_given.is_not(None), Enrolment.active)
        .order_by(Person.id)
    )
    listed = {result.sub for result in found.results} | found.unreadable
    with tools.database.read() as session:
        return [(sub, at) for sub, at in session.execute(query) if sub not in listed and at is not None]


def _digest(item: ags.LineItem) -> str:
    # With what the line item itself says of its results: when that changes they are read again.
    told = "\n".join((item.url, item.label, str(item.is_released)))
    return hashlib.sha256(told.encode()).hexdigest()


def _event(course: Course, item: ags.LineItem, result: ags.LineItemResult, now: datetime) -> GradeEvent:
    # Only some platforms date results. Where they do not, an event of the last minutes knows better than the read.
    at = result.timestamp or now - CLOCK_SKEW
    # A grade that was taken back comes without a score.
    grading = GradingProgress.NOT_READY if result.score is None else GradingProgress.FULLY_GRADED
    return GradeEvent(
        course=(Identifier(IdKind.LTI, course.context_id),),
        person=(Identifier(IdKind.LTI, result.sub),),
        activity=ActivityRef(item.url, item.label, LINE_ITEM),
        grade=GradeFact(at, result.score, result.maximum, grading, released=item.is_released is not False),
        deployment_id=course.deployment.deployment_id,
    )
