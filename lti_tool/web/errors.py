"""Every error as a page (or JSON for machines) that says what happened and what to do next."""

import re
import uuid

import structlog
from flask import Flask, g, jsonify, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import OperationalError
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from lti_tool.badgr.errors import TRIED_AGAIN, BadgrError
from lti_tool.errors import LtiBadgesError
from lti_tool.logs import get_logger
from lti_tool.lti.errors import LaunchError, LtiServiceError
from lti_tool.services.connections import ConnectionBusyError, ConnectionDeadError
from lti_tool.web import badges, by_hand
from lti_tool.web.access import SignInError
from lti_tool.web.parts import tools

log = get_logger(__name__)

HTTP_ADVICE = {
    400: "What was sent is not complete. Go back, load the page again, and try once more.",
    404: "There is nothing at this address. Open Badges from your course in the LMS.",
    405: "This address does not take that kind of request.",
    413: "What was sent is too large. Send it in smaller parts.",
}


def register(app: Flask) -> None:
    """Give every request an id, and every error a page."""
    app.before_request(_begin)
    app.teardown_request(_end)
    app.register_error_handler(LaunchError, _launch_failed)
    app.register_error_handler(LtiBadgesError, _refused)
    app.register_error_handler(BadgrError, _badgr_failed)
    app.register_error_handler(LtiServiceError, _service_failed)
    app.register_error_handler(ConnectionDeadError, _connection_dead)
    app.register_error_handler(ConnectionBusyError, _connection_busy)
    app.register_error_handler(SignInError, _sign_in_first)
    app.register_error_handler(CSRFError, _form_too_old)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(OperationalError, _database_away)
    app.register_error_handler(Exception, _unexpected)


def _begin() -> None:
    g.reference = uuid.uuid4().hex[:12]
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request=g.reference, path=_shape())
    if request.blueprint == "badges":
        # Pictures are larger than webhooks; it must be said before anything reads the form.
        request.max_content_length = badges.UPLOAD_BYTES
    elif request.blueprint == "by_hand":
        request.max_content_length = request.max_form_memory_size = by_hand.UPLOAD_BYTES


def _shape() -> str:
    """The address without what stands in it: a link for one registration is a secret."""
    return request.url_rule.rule if request.url_rule else "(none)"


def _end(_error: BaseException | None) -> None:
    # What the server's own thread says later is about another request.
    structlog.contextvars.clear_contextvars()


def _launch_failed(error: LaunchError) -> ResponseReturnValue:
    log.warning("launch_refused", code=error.code, status=error.status)
    page = render_template(
        "launch/launch_failed.html",
        title=error.title,
        advice=error.advice,
        code=error.code,
        reference=g.reference,
    )
    return page, error.status


def _refused(error: LtiBadgesError) -> ResponseReturnValue:
    log.info("refused", status=error.status, kind=type(error).__name__)
    return _answer(error.title, error.advice, error.status)


def _badgr_failed(error: BadgrError) -> ResponseReturnValue:
    log.warning("badgr_failed", kind=type(error).__name__, status=error.status)
    return _answer("Badgr did not answer as expected", now_advice(error), 502)


def now_advice(error: BadgrError) -> str:
    """What to do about an error on a page: nothing on it is tried again by itself."""
    return error.advice.replace(TRIED_AGAIN, "Try it again in a moment")


def _service_failed(error: LtiServiceError) -> ResponseReturnValue:
    log.warning("lti_service_failed", status=error.status, retryable=error.retryable)
    return _answer("The LMS did not answer as expected", error.advice, 502)


def _connection_dead(error: ConnectionDeadError) -> ResponseReturnValue:
    return _answer("The connection to Badgr has ended", str(error), 409)


def _connection_busy(error: ConnectionBusyError) -> ResponseReturnValue:
    return _answer("Badgr is busy", "Wait a few seconds and load the page again.", 503)


def _sign_in_first(error: SignInError) -> ResponseReturnValue:
    return redirect(url_for("admin.sign_in"), 303)


def _form_too_old(error: CSRFError) -> ResponseReturnValue:
    advice = "The page was open for too long, or your browser did not keep its cookie. Open Badges from the LMS again."
    return _answer("This form is no longer valid", advice, 400)


def _http_error(error: HTTPException) -> ResponseReturnValue:
    status = error.code or 500
    answer = make_response(_answer(error.name, HTTP_ADVICE.get(status, error.description or ""), status))
    if isinstance(error, MethodNotAllowed):
        answer.allow.update(error.valid_methods or ())
    return answer


def _database_away(error: OperationalError) -> ResponseReturnValue:
    # 503 tells an LMS to send its webhook again; nothing was stored.
    log.exception("database_away")
    advice = "The Badges tool cannot reach its database. Try again in a few minutes; nothing was changed."
    return _answer("Badges is not available at the moment", advice, 503)


def _unexpected(error: Exception) -> ResponseReturnValue:
    log.exception("unexpected")
    advice = "This is a fault of the Badges tool. Try again; if it stays, tell the administrator the reference below."
    return _answer("Something went wrong", advice, 500)


def _answer(title: str, advice: str, status: int) -> ResponseReturnValue:
    if request.path.startswith("/webhooks/") or request.accept_mimetypes.best == "application/json":
        return jsonify(error=title, advice=advice, reference=g.reference), status
    page = render_template(
        "errors/error.html",
        title=title,
        advice=_sentence(advice),
        status=status,
        reference=g.reference,
        back_url=_page_before(),
    )
    return page, status


def _sentence(advice: str) -> str:
    """Without the name of a field before it, which says something on the command line only (or names the subject)."""
    return re.sub(r"^[a-z-]+: (?!must )(.)", lambda found: found[1].upper(), advice)


def _page_before() -> str | None:
    """The page of ours that led here: in a frame of the LMS there is no other way back."""
    before = request.referrer or ""
    is_own = before.startswith(request.host_url) or before.startswith(tools().settings.base_url + "/")
    return before if is_own and (request.method != "GET" or before != request.url) else None
