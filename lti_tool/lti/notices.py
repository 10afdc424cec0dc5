"""Notices of a platform that a course was copied (LTI Platform Notification Service 1.0): asked for, and verified."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import jwt

from lti_tool.lti.checks import check_header, check_parties, check_times, deployment_id_of
from lti_tool.lti.claims import (
    COPY_NOTICE,
    HISTORY_LENGTH,
    LTI,
    NOTICE_SCOPE,
    Claims,
    group_of,
    id_of,
    text_of,
    texts_of,
)
from lti_tool.lti.errors import LaunchError, NoticeError
from lti_tool.lti.keysets import KeySets
from lti_tool.lti.message import SIGNATURE_ONLY
from lti_tool.lti.services import ServiceClient
from lti_tool.models import Platform


@dataclass(frozen=True)
class CopyNotice:
    """A course that got the content of others, as the platform names them; `id` is the same when it comes again."""

    id: str
    deployment_id: str
    context_id: str
    label: str
    title: str
    origins: tuple[str, ...]
    happened_at: datetime | None


def register_handler(client: ServiceClient, platform_id: int, url: str, handler: str, now: datetime) -> None:
    """Have notices of copies posted to `handler`, in place of any former address; raises LtiServiceError."""
    client.send(platform_id, "PUT", url, [NOTICE_SCOPE], now, body={"notice_type": COPY_NOTICE, "handler": handler})


def read_notice(token: str, platform: Platform, keysets: KeySets, now: datetime) -> CopyNotice | None:
    """What a notice says, once it is sure that this platform sent it to us; None for one about something else.

    Raises NoticeError. It is checked like a launch, but for what belongs to a browser (PNS 1.0, "Notice").
    """
    try:
        claims = _verified(token, platform, keysets, now)
        deployment_id, notice = deployment_id_of(claims), group_of(claims, f"{LTI}notice")
        notice_id, context = id_of(notice, "id"), group_of(claims, f"{LTI}context")
        context_id = id_of(context, "id")
    except LaunchError as error:
        raise NoticeError(platform.name, error.code) from None
    except jwt.PyJWTError:
        raise NoticeError(platform.name, "bad_signature") from None
    if notice.get("type") != COPY_NOTICE:
        return None
    if not notice_id or not context_id:
        raise NoticeError(platform.name, "incomplete")
    origins = tuple(dict.fromkeys(one for one in texts_of(claims, f"{LTI}origin_contexts") if 0 < len(one) <= 255))
    return CopyNotice(
        notice_id,
        deployment_id,
        context_id,
        text_of(context, "label", 255),
        text_of(context, "title", 500),
        tuple(one for one in origins if one != context_id)[:HISTORY_LENGTH],
        _moment(notice),
    )


def _verified(token: str, platform: Platform, keysets: KeySets, now: datetime) -> Claims:
    key = keysets.key(platform, check_header(jwt.get_unverified_header(token)), now)
    claims: Mapping[str, Any] = jwt.decode(token, key, algorithms=["RS256"], options=SIGNATURE_ONLY)  # type: ignore[arg-type]
    check_parties(claims, platform.issuer, platform.client_id)
    check_times(claims, now)
    return claims


def _moment(notice: Claims) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text_of(notice, "timestamp", 40))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
