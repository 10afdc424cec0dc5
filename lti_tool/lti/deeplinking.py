"""The answer to a deep linking request (Deep Linking 2.0 §4.4): the chosen links, signed by the tool."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import jwt
from pylti1p3.deep_link import DeepLink, TDeepLinkData
from pylti1p3.deep_link_resource import DeepLinkResource
from pylti1p3.lineitem import LineItem

from lti_tool.domain.launch import ContentRequest
from lti_tool.lti.adapter import registration_of
from lti_tool.lti.claims import DEEP_LINKING, RULE_PARAMETER
from lti_tool.lti.keys import SigningKey
from lti_tool.models import Deployment

RULE_PREFIX = "lti-badges-rule-"
LIFETIME = timedelta(minutes=5)


@dataclass(frozen=True)
class Link:
    """A link to all badges of a course, or to the one of a rule; `column` is the name of its column, if it has one."""

    title: str
    rule_id: int | None = None
    column: str | None = None


def resource_id(rule_id: int) -> str:
    """What the line item of a rule is known by in the LMS (AGS 2.0 §3.2.9)."""
    return f"{RULE_PREFIX}{rule_id}"


def is_badge_column(line_item_resource_id: str) -> bool:
    """Whether a line item is the column of one of our rules."""
    return line_item_resource_id.startswith(RULE_PREFIX)


def response(
    deployment: Deployment, request: ContentRequest, links: Sequence[Link], url: str, key: SigningKey, now: datetime
) -> str:
    """The signed response message; without links it says that nothing was chosen."""
    registration = registration_of(deployment.platform)
    told: TDeepLinkData = {"data": request.data} if request.data is not None else {}
    library = DeepLink(registration, deployment.deployment_id, told)
    message = library.get_message_jwt([_item(link, url) for link in links])
    # The library reads the clock by itself, and says `data: null` where the platform gave none.
    message |= {"iat": int(now.timestamp()), "exp": int((now + LIFETIME).timestamp())}
    if request.data is None:
        del message[f"{DEEP_LINKING}data"]
    if not links:
        message[f"{DEEP_LINKING}msg"] = "Nothing was chosen."
    return jwt.encode(message, key.private_key, algorithm="RS256", headers={"kid": key.kid})


def _item(link: Link, url: str) -> DeepLinkResource:
    item = DeepLinkResource().set_title(link.title).set_url(url)
    if link.rule_id is not None:
        item.set_custom_params({RULE_PARAMETER: str(link.rule_id)})
        if link.column is not None:
            line_item = LineItem().set_score_maximum(1).set_label(link.column)
            item.set_lineitem(line_item.set_resource_id(resource_id(link.rule_id)).set_tag("badge"))
    return item
