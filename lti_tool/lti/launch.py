"""The second leg of a launch: every check of the platform's answer, and the nonce that works only once."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from lti_tool.db import Database
from lti_tool.domain.launch import Launch
from lti_tool.lti.checks import LEEWAY
from lti_tool.lti.claims import (
    AGS,
    LTI,
    address_of,
    content_request_of,
    course_of,
    group_of,
    link_of,
    notices_url_of,
    person_of,
    rule_number_of,
    site_of,
    text_of,
)
from lti_tool.lti.errors import LaunchError
from lti_tool.lti.keysets import KeySets
from lti_tool.lti.message import LaunchMessage
from lti_tool.lti.state import STATE_LIFETIME, StateSigner, digest
from lti_tool.models import OneTimeToken


@dataclass(frozen=True)
class VerifiedLaunch:
    """A launch that passed every check but one: whether its nonce is new, which `consume_nonce` decides."""

    launch: Launch
    nonce_digest: str
    nonce_expires_at: datetime


def verify(
    database: Database,
    form: Mapping[str, str],
    cookies: Mapping[str, str],
    signer: StateSigner,
    keysets: KeySets,
    launch_url: str,
    now: datetime,
) -> VerifiedLaunch:
    """Check a launch (LTI security framework §5.1.3, LTI core 1.3 §5.3); raises LaunchError."""
    message = LaunchMessage(database, form, cookies, signer, keysets, launch_url, now)
    if "error" in form:
        raise LaunchError("platform_refused", answer=_answer(message, form))
    try:
        message.validate()
        launch = _launch(message)
    except LaunchError as error:
        error.return_url = message.return_url
        raise
    # After that the state is refused, and with it this nonce.
    expires_at = datetime.fromtimestamp(message.state.issued_at, UTC) + STATE_LIFETIME + LEEWAY
    return VerifiedLaunch(launch, digest(f"nonce:{message.platform.id}:{message.nonce}"), expires_at)


def consume_nonce(session: Session, verified: VerifiedLaunch, now: datetime) -> None:
    """Use up the nonce of a launch in the caller's transaction; raises LaunchError when already used."""
    if now >= verified.nonce_expires_at:
        raise LaunchError("state_expired")
    used = {"digest": verified.nonce_digest, "expires_at": verified.nonce_expires_at}
    try:
        with session.begin_nested():
            session.execute(insert(OneTimeToken).values(**used))
    except IntegrityError:
        raise LaunchError("nonce_replayed") from None


def _answer(message: LaunchMessage, form: Mapping[str, str]) -> str:
    word = re.sub(r"[^A-Za-z0-9_.-]", "", form["error"])[:60] or "an error without a name"
    try:
        message.validate_state()
    except LaunchError:
        # Anybody can make a browser post here: only an answer to a login of this browser is quoted.
        return word
    description = " ".join(form.get("error_description", "").split())[:300]
    return f"{word} ({description})" if description else word


def _launch(message: LaunchMessage) -> Launch:
    presentation = group_of(message.claims, f"{LTI}launch_presentation")
    return Launch(
        platform_id=message.platform.id,
        deployment_id=message.deployment.id,
        course=course_of(message.claims),
        person=person_of(message.claims),
        locale=text_of(presentation, "locale", 35) or None,
        return_url=address_of(presentation, "return_url"),
        site=site_of(message.claims),
        rule_number=rule_number_of(message.claims),
        line_item_url=address_of(group_of(message.claims, AGS), "lineitem"),
        content_request=content_request_of(message.claims),
        link=link_of(message.claims),
        notices_url=notices_url_of(message.claims),
    )
