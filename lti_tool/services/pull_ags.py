"""The results that AGS shows the tool: those of its own line items (LMS.md §5.1)."""

import hashlib
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy.orm import Session

from lti_tool.domain.events import ActivityRef, GradeEvent, GradeFact, GradingProgress, Identifier, IdKind
from lti_tool.lti import ags
from lti_tool.lti.deeplinking import is_badge_column
from lti_tool.lti.errors import LtiServiceError
from lti_tool.lti.services import ServiceClient
from lti_tool.models import Course
from lti_tool.services.findings import LINE_ITEM
from lti_tool.services.reading import Reading
from lti_tool.services.results import CLOCK_SKEW
from lti_tool.toolbox import Toolbox
from lti_tool.vault import Vault

# Answers that say something about the line item that was asked for: it is gone, or the platform stumbles over it.
OF_ONE_ITEM = frozenset({400, 404, 410, 500})


def can_read_ags(_session: Session, _vault: Vault, course: Course) -> bool:
    """Whether the LMS lets the tool list line items and read results in this course."""
    lists = {ags.LINE_ITEM_SCOPE, f"{ags.LINE_ITEM_SCOPE}.readonly"} & set(course.service_scopes)
    return course.line_items_url is not None and bool(lists) and ags.RESULT_SCOPE in course.service_scopes


def read_ags(tools: Toolbox, course: Course, marks: Mapping[str, str], now: datetime) -> Reading:
    """Every result of every line item that is not a badge's own column; raises LtiServiceError.

    Line items whose results are still of the version in `marks` are left out. One that cannot be read does not keep the
    others from being read, unless the platform cannot be reached or lets nobody in.
    """
    client = ServiceClient(tools.database, tools.vault, tools.http)
    platform_id = course.deployment.platform_id
    assert course.line_items_url is not None
    events, seen, fault = list[GradeEvent](), dict[str, str](), None
    # The list itself is always read whole: without it there are no addresses to ask for results.
    items = ags.read_line_items(client, platform_id, course.line_items_url, now)
    for item in items:
        if is_badge_column(item.resource_id):
            continue
        key = _digest(item)
        try:
            found = ags.read_results(client, platform_id, item.url, now, etag=marks.get(key))
        except LtiServiceError as error:
            fault = fault or error
            if error.status in OF_ONE_ITEM:
                continue
            break
        if found.etag is not None:
            seen[key] = found.etag
        events += [_event(course, item, result, now) for result in found.results]
    silent = frozenset(item.url for item in items if item.is_released is None)
    return Reading(tuple(events), seen, silent, fault)


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
