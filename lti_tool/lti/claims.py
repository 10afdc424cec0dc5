"""From the claims of a launch, or the members of a roster, to plain values that can be stored."""

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from lti_tool.domain.events import Identifier, IdKind
from lti_tool.domain.launch import (
    ContentRequest,
    LaunchCourse,
    LaunchLink,
    LaunchPerson,
    LaunchSite,
    is_lms_administrator,
    is_test_user,
    role_of,
)
from lti_tool.lti.addresses import origin_of
from lti_tool.lti.errors import LaunchError
from lti_tool.models.platform import CANVAS_ISSUERS

LTI = "https://purl.imsglobal.org/spec/lti/claim/"
AGS = "https://purl.imsglobal.org/spec/lti-ags/claim/endpoint"
NRPS = "https://purl.imsglobal.org/spec/lti-nrps/claim/namesroleservice"
NRPS_SCOPE = "https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly"
NOTICES = "https://purl.imsglobal.org/spec/lti/claim/platformnotificationservice"
NOTICE_SCOPE = "https://purl.imsglobal.org/spec/lti/scope/noticehandlers"
COPY_NOTICE = "LtiContextCopyNotice"
DEEP_LINKING = "https://purl.imsglobal.org/spec/lti-dl/claim/"
RULE_PARAMETER = "lti_badges_rule"
HISTORY_PARAMETER = "context_history"
LINK_HISTORY_PARAMETER = "resource_link_history"
HISTORY_LENGTH = 20
ID_LENGTH = 255
ADDRESS_LENGTH = 2000
DATA_LENGTH = 64_000
# By which names platforms send other ids than their own (LMS.md §4.4): of persons, and of courses.
PERSON_IDS = (
    ("custom", "canvas_user_id", IdKind.CANVAS),
    ("custom", "canvas_user_local_id", IdKind.CANVAS_LOCAL),
    ("custom", "canvas_user_sis_id", IdKind.SIS),
    ("lis", "person_sourcedid", IdKind.SIS),
    ("ext", "user_username", IdKind.USERNAME),
)
COURSE_IDS = (
    ("custom", "canvas_course_id", IdKind.CANVAS),
    ("custom", "canvas_course_local_id", IdKind.CANVAS_LOCAL),
    ("custom", "canvas_course_sis_id", IdKind.SIS),
    ("lis", "course_offering_sourcedid", IdKind.SIS),
    ("lis", "course_section_sourcedid", IdKind.SIS),
)
_EMAIL = re.compile(r"[^\s@,;:<>()\"\[\]]+@[^\s@,;:<>()\"\[\]]+\.[^\s@,;:<>()\"\[\].]+")

Claims = Mapping[str, Any]


def text_of(claims: Claims, name: str, limit: int) -> str:
    """A text claim, cut to `limit` characters; empty when absent, not a text, or an unexpanded variable."""
    value = claims.get(name)
    if not isinstance(value, str) or value.startswith("$") or not is_storable(value):
        return ""
    return value.strip()[:limit]


def id_of(claims: Claims, name: str) -> str:
    """An id exactly as sent (at most 255 characters); empty when absent, LaunchError when unusable."""
    value = claims.get(name)
    if not isinstance(value, str) or value.startswith("$"):
        return ""
    if len(value) > ID_LENGTH or not is_storable(value):
        raise LaunchError("claim_unusable", claim=name)
    return value


def group_of(claims: Claims, name: str) -> Claims:
    """A claim that is an object; empty when it is absent or anything else."""
    value = claims.get(name)
    return value if isinstance(value, dict) else {}


def texts_of(claims: Claims, name: str) -> tuple[str, ...]:
    """A claim that is a list of texts; whatever else is in it is left out."""
    value = claims.get(name)
    return tuple(v for v in value if isinstance(v, str) and is_storable(v)) if isinstance(value, list) else ()


def email_of(claims: Claims) -> str | None:
    """The e-mail address, when there is exactly one that looks like one."""
    address = text_of(claims, "email", 321)
    return address if len(address) <= 320 and _EMAIL.fullmatch(address) else None


def name_of(claims: Claims) -> str:
    """The full name; put together from its parts when only those are there."""
    parts = (text_of(claims, "given_name", 250), text_of(claims, "family_name", 249))
    return text_of(claims, "name", 500) or " ".join(part for part in parts if part)


def address_of(claims: Claims, name: str) -> str | None:
    """A claim that is a web address; None for anything else, such as `javascript:`."""
    url = text_of(claims, name, ADDRESS_LENGTH + 1)
    return url if len(url) <= ADDRESS_LENGTH and origin_of(url) else None


def course_of(claims: Claims) -> LaunchCourse | None:
    """The course of a launch; None when the platform names none (LTI core 1.3 §5.4.1)."""
    context = group_of(claims, f"{LTI}context")
    context_id = id_of(context, "id")
    if not context_id:
        return None
    ags, memberships_url = (
        group_of(claims, AGS),
        address_of(group_of(claims, NRPS), "context_memberships_url"),
    )
    return LaunchCourse(
        context_id=context_id,
        label=text_of(context, "label", 255),
        title=text_of(context, "title", 500),
        memberships_url=memberships_url,
        line_items_url=address_of(ags, "lineitems"),
        # The roster's scope is not listed anywhere: its claim stands for it (NRPS 2.0 §3.1.1).
        service_scopes=texts_of(ags, "scope") + ((NRPS_SCOPE,) if memberships_url else ()),
        history=_history(claims, HISTORY_PARAMETER, context_id),
        aliases=aliases_of(claims, COURSE_IDS, is_canvas=_is_canvas(claims)),
    )


def link_of(claims: Claims) -> LaunchLink | None:
    """The link that was opened; None for messages about no link."""
    link_id = id_of(group_of(claims, f"{LTI}resource_link"), "id")
    return LaunchLink(link_id, _history(claims, LINK_HISTORY_PARAMETER, link_id)) if link_id else None


def person_of(claims: Claims) -> LaunchPerson:
    """The person of a launch."""
    roles = texts_of(claims, f"{LTI}roles")
    return LaunchPerson(
        sub=id_of(claims, "sub"),
        name=name_of(claims),
        email=email_of(claims),
        role=role_of(roles),
        is_test=is_test_user(roles),
        is_lms_administrator=is_lms_administrator(roles),
        aliases=aliases_of(claims, PERSON_IDS, is_canvas=_is_canvas(claims)) + _legacy_ids(claims),
    )


def aliases_of(claims: Claims, names: Sequence[tuple[str, str, IdKind]], *, is_canvas: bool) -> tuple[Identifier, ...]:
    """Other ids in a launch or in the message of a member of a roster, by the names of their claims and members.

    Custom parameters are believed of Canvas only: there the registration alone says them. Elsewhere teachers write
    them into their links, and could give themselves, or others, somebody else's id.
    """
    trusted = [(claim, name, kind) for claim, name, kind in names if claim != "custom" or is_canvas]
    told = ((kind, text_of(group_of(claims, f"{LTI}{claim}"), name, ID_LENGTH)) for claim, name, kind in trusted)
    return tuple(dict.fromkeys(Identifier(kind, value) for kind, value in told if value))


def _is_canvas(claims: Claims) -> bool:
    family = text_of(group_of(claims, f"{LTI}tool_platform"), "product_family_code", 100)
    return claims.get("iss") in CANVAS_ISSUERS or family.lower() == "canvas"


def site_of(claims: Claims) -> LaunchSite:
    """The LMS of a launch, by where its services and pages are."""
    presentation = group_of(claims, f"{LTI}launch_presentation")
    told = (
        address_of(group_of(claims, NRPS), "context_memberships_url"),
        address_of(group_of(claims, AGS), "lineitems"),
        address_of(presentation, "return_url"),
    )
    host = next((urlsplit(url).netloc.lower() for url in told if url), "")
    return LaunchSite(host, text_of(group_of(claims, f"{LTI}tool_platform"), "product_family_code", 100))


def notices_url_of(claims: Claims) -> str | None:
    """Where the platform takes an address for notices of copied courses; None where it tells of none (PNS 1.0)."""
    service = group_of(claims, NOTICES)
    is_offered = COPY_NOTICE in texts_of(service, "notice_types_supported") and NOTICE_SCOPE in texts_of(
        service, "scope"
    )
    return address_of(service, "platform_notification_service_url") if is_offered else None


def rule_number_of(claims: Claims) -> str:
    """The number of the rule that the opened link was made for (its custom parameter); empty for all others."""
    return text_of(group_of(claims, f"{LTI}custom"), RULE_PARAMETER, 20)


def content_request_of(claims: Claims) -> ContentRequest | None:
    """What a deep linking request asks for; None for other messages. Raises LaunchError without a way back."""
    if claims.get(f"{LTI}message_type") != "LtiDeepLinkingRequest":
        return None
    settings = group_of(claims, f"{DEEP_LINKING}deep_linking_settings")
    return_url = address_of(settings, "deep_link_return_url")
    if return_url is None:
        raise LaunchError("deep_link_return_missing")
    if "ltiResourceLink" not in texts_of(settings, "accept_types"):
        raise LaunchError("deep_link_type_refused")
    data = settings.get("data")
    if isinstance(data, str) and len(data) > DATA_LENGTH:
        raise LaunchError("deep_link_data_too_long")
    return ContentRequest(
        return_url=return_url,
        # Given back unchanged, whatever it is (Deep Linking 2.0 §4.4.5); only its size is ours to limit.
        data=data if isinstance(data, str) else None,
        takes_several=settings.get("accept_multiple") is True,
        takes_line_items=settings.get("accept_lineitem") is not False,
    )


def _legacy_ids(claims: Claims) -> tuple[Identifier, ...]:
    # Canvas: the opaque id that its events call `lti_user_id`; others: LTI 1.1 migration (`lti1p1.user_id`).
    told = (
        text_of(claims, f"{LTI}lti11_legacy_user_id", ID_LENGTH),
        text_of(group_of(claims, f"{LTI}lti1p1"), "user_id", ID_LENGTH),
    )
    return tuple(dict.fromkeys(Identifier(IdKind.LTI11, value) for value in told if value))


def _history(claims: Claims, parameter: str, present_id: str) -> tuple[str, ...]:
    told = text_of(group_of(claims, f"{LTI}custom"), parameter, HISTORY_LENGTH * ID_LENGTH)
    # The ids are URL-encoded, for they may have commas in them (LTI core 1.3 §B.2).
    ids = [unquote(part.strip())[:ID_LENGTH] for part in told.split(",")]
    usable = (part for part in dict.fromkeys(ids) if part and part != present_id and is_storable(part))
    return tuple(usable)[:HISTORY_LENGTH]


def is_storable(value: str) -> bool:
    """Whether a text can be kept by every database."""
    # PostgreSQL refuses NUL, and a lone surrogate is no text at all.
    return "\x00" not in value and not any("\ud800" <= char <= "\udfff" for char in value)
