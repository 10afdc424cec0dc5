"""The results that AGS shows the tool: those of its own line items (LMS.md §5.1)."""

from datetime import datetime

from lti_tool.domain.events import ActivityRef, GradeEvent, GradeFact, Identifier, IdKind
from lti_tool.lti import ags
from lti_tool.lti.deeplinking import is_badge_column
from lti_tool.lti.services import ServiceClient
from lti_tool.models import Course
from lti_tool.services.results import CLOCK_SKEW
from lti_tool.toolbox import Toolbox


def can_read_ags(course: Course) -> bool:
    """Whether the LMS lets the tool list line items and read results in this course."""
    lists = {ags.LINE_ITEM_SCOPE, f"{ags.LINE_ITEM_SCOPE}.readonly"} & set(course.service_scopes)
    return course.line_items_url is not None and bool(lists) and ags.RESULT_SCOPE in course.service_scopes


def read_ags(tools: Toolbox, course: Course, now: datetime) -> list[GradeEvent]:
    """Every result of every line item that is not a badge's own column; raises LtiServiceError."""
    client = ServiceClient(tools.database, tools.vault, tools.http)
    platform_id = course.deployment.platform_id
    assert course.line_items_url is not None
    items = ags.read_line_items(client, platform_id, course.line_items_url, now)
    return [
        _event(course, item, result, now)
        for item in items
        if not is_badge_column(item.resource_id)
        for result in ags.read_results(client, platform_id, item.url, now)
        if result.score is not None
    ]


def _event(course: Course, item: ags.LineItem, result: ags.LineItemResult, now: datetime) -> GradeEvent:
    # Only some platforms date results. Where they do not, an event of the last minutes knows better than the read.
    at = result.timestamp or now - CLOCK_SKEW
    return GradeEvent(
        course=(Identifier(IdKind.LTI, course.context_id),),
        person=(Identifier(IdKind.LTI, result.sub),),
        activity=ActivityRef(item.url, item.label, "line_item"),
        grade=GradeFact(at, result.score, result.maximum, released=item.is_released),
        deployment_id=course.deployment.deployment_id,
    )
