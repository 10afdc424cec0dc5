"""Launches in browsers that keep no cookie of ours in the LMS's frame.

Whether they do is seen by a cookie that must come back before the login goes on. If it does not, the secret that binds
the launch to its browser is kept by the LMS (LTI platform storage, "Client Side postMessages"), and what was launched
is handed over once to a tab of its own, since no session can be kept in the frame either. Where the LMS keeps nothing,
the login itself goes on in a new tab.
"""

import secrets
from collections.abc import Mapping
from urllib.parse import urlencode

from flask import Blueprint, g, redirect, render_template, request, url_for
from itsdangerous import BadSignature, URLSafeTimedSerializer
from werkzeug.wrappers import Response

from lti_tool.errors import InvalidInputError
from lti_tool.lti.addresses import is_same_origin, origin_text
from lti_tool.lti.errors import LaunchError
from lti_tool.lti.login import STATE_PREFIX, LoginRedirect
from lti_tool.lti.state import LoginState
from lti_tool.models import Platform
from lti_tool.services import launches
from lti_tool.web.access import digest_of, session_digest
from lti_tool.web.parts import parts, tools, utc_now

blueprint = Blueprint("cookieless", __name__, url_prefix="/lti")

COOKIE_PREFIX = "lti_state_"
PROBE, PROBED, PROBE_SECONDS = "lti_probe", "probed", 60
TICKET_SECONDS = 300
ENDED = "This was opened already, or more than five minutes ago. Open Badges from the LMS again."


def keeps_cookies() -> bool | None:
    """Whether this browser keeps cookies of ours where it shows us; None while that is not known."""
    if request.cookies or request.headers.get("Sec-Fetch-Dest") == "document":
        return True
    return False if PROBED in request.args else None


def probe() -> Response:
    """Give a cookie, and let the same login request come again: with it or without."""
    # 307 repeats a POST as it was (RFC 9110 §15.4.8).
    response = redirect(f"{url_for('lti.login')}?{urlencode(request.args.to_dict() | {PROBED: '1'})}", 307)
    response.set_cookie(
        PROBE,
        "1",
        max_age=PROBE_SECONDS,
        path=url_for("lti.login"),
        secure=True,
        httponly=True,
        samesite="None",
        partitioned=True,
    )
    return response


def go_on(begun: LoginRedirect) -> str:
    """The page in the frame: lets the LMS keep the secret of this login if it can, and offers a tab of its own."""
    # The form leads to the LMS by redirects, which browsers check as well; through which hosts, only the LMS knows.
    g.form_goes_anywhere = True
    told = {name: value for name, value in request.values.items() if name not in (PROBED, "lti_storage_target")}
    # Answers count only from where the authentication request goes to (Client Side postMessages §2).
    return render_template("launch/cookieless.html", begun=begun, told=told, origin=origin_text(begun.url))


def proofs() -> Mapping[str, str]:
    """What this browser has brought back to prove that it began the launch: its cookies, else the LMS's storage."""
    # Any page could post its own login's secret: what the LMS has kept comes by our page that has asked for it.
    form = request.form if _is_from_own_page() else {}
    return {name: value for name, value in form.items() if name.startswith(COOKIE_PREFIX)} | request.cookies


def has_cookie(state_token: str) -> bool:
    """Whether the cookie of this login came back."""
    state = _state(state_token)
    return state is not None and state.belongs_to(request.cookies)


def cookie_of(state_token: str) -> str:
    """The name of the cookie of this login, whose state was checked."""
    state = _state(state_token)
    assert state is not None
    return state.cookie_name


def ask_platform(state_token: str) -> str | None:
    """A page that fetches the secret from the LMS and sends the launch again; None where that cannot be."""
    state = _state(state_token)
    if state is None or not state.storage or state.cookie_name in request.form:
        return None
    with tools().database.read() as db:
        platform = db.get(Platform, state.platform_id)
    if platform is None:
        return None
    return render_template(
        "launch/storage_get.html",
        storage=state.storage,
        key=state.cookie_name,
        origin=origin_text(platform.auth_login_url),
        form={name: request.form.get(name, "") for name in ("id_token", "state")},
    )


def new_session() -> str:
    """A session for a browser that keeps none here, to be handed over."""
    return secrets.token_urlsafe(32)


def offer_tab(sid: str, landing: str) -> str:
    """The page in the frame that opens Badges in a tab of its own, once."""
    return render_template("launch/new_tab.html", ticket=_tickets().dumps([sid, landing]))


@blueprint.post("/open")
def open_tab() -> Response:
    """The new tab: takes over what the frame has entered. The ticket comes in the body and works once."""
    if not _is_from_own_page():
        raise InvalidInputError(ENDED, "This link does not work")
    try:
        sid, landing = _tickets().loads(request.form.get("ticket", ""), max_age=TICKET_SECONDS)
    except BadSignature:
        raise InvalidInputError(ENDED, "This link has ended") from None
    # Never the session of the ticket itself: the page in the frame has known that one.
    if not launches.hand_over(tools(), digest_of(sid), session_digest(create=True)):
        raise InvalidInputError(ENDED, "This link has ended")
    return redirect(landing, 303)


def _is_from_own_page() -> bool:
    """Whether a page of ours has posted this; every browser says so of a POST (Fetch §3.2), some in two ways."""
    is_ours = is_same_origin(request.headers.get("Origin", ""), tools().settings.base_url)
    return is_ours and request.headers.get("Sec-Fetch-Site", "same-origin") == "same-origin"


def _state(token: str) -> LoginState | None:
    try:
        return parts().signer.read(token.removeprefix(STATE_PREFIX), utc_now())
    except LaunchError:
        return None


def _tickets() -> URLSafeTimedSerializer:
    keys = [key.get_secret_value() for key in reversed(tools().settings.secret_keys)]
    return URLSafeTimedSerializer(keys, salt="hand-over")
