"""Security headers: a strict content policy, and frames only on the pages of known platforms."""

import time

from flask import Flask, Response, g, request
from sqlalchemy import select
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import selectinload

from lti_tool.logs import get_logger
from lti_tool.lti.addresses import origin_text
from lti_tool.models import BadgrServer, Platform
from lti_tool.web.parts import tools

log = get_logger(__name__)

CACHE_SECONDS = 5


class _Origins:
    """Who may frame us and whose login pages our forms may lead to, read from the database now and then."""

    def __init__(self) -> None:
        self._read_at = float("-inf")
        self.frames: list[str] = []
        self.forms: list[str] = []
        self.insecure_images: list[str] = []

    def refresh(self) -> None:
        if time.monotonic() - self._read_at < CACHE_SECONDS:
            return
        try:
            with tools().database.read() as session:
                query = select(Platform).where(Platform.enabled).options(selectinload(Platform.deployments))
                platforms = session.scalars(query).all()
                servers = session.scalars(select(BadgrServer)).all()
        except DatabaseError:
            # The page that says so must still come out: what was known before holds on.
            log.warning("origins_not_read")
            return
        self.frames = sorted({origin for platform in platforms for origin in platform.frame_origins})
        self.forms = sorted({server.ui_url for server in servers})
        # Pictures come over https from wherever Badgr keeps them; only a local Badgr is without it.
        self.insecure_images = sorted({s.api_url for s in servers if s.api_url.startswith("http://")})
        self._read_at = time.monotonic()


def register(app: Flask) -> None:
    """Put the headers on every answer."""
    origins = _Origins()

    def protect(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = _policy(origins)
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "same-origin"
        response.headers["Permissions-Policy"] = "camera=(), geolocation=(), microphone=()"
        if request.is_secure:
            response.headers["Strict-Transport-Security"] = "max-age=31536000"
        if request.endpoint != "static":
            response.headers.setdefault("Cache-Control", "no-store")
        return response

    app.after_request(protect)


def _policy(origins: _Origins) -> str:
    is_top_level = request.blueprint in ("badgr", "my")
    if request.endpoint not in ("static", "health.healthz"):
        origins.refresh()
    # `frame_origin`: the LMS that shows this page, as a signed launch or a valid registration link said. It may have
    # more hosts than its registration names;
    # `form_origin`: the LMS that a form of this page leads to.
    # Pages that lead to consent are never shown in a frame, where a stranger could lay something over them.
    frames = [] if is_top_level else [*origins.frames, origin_text(g.get("frame_origin", ""))]
    parts = {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "img-src": ["'self'", "data:", "blob:", "https:", *origins.insecure_images],
        # Browsers check redirects after a form too: the consent page is reached by one.
        "form-action": ["'self'", *(origins.forms if is_top_level else []), origin_text(g.get("form_origin", ""))],
        "frame-ancestors": frames if any(frames) else ["'none'"],
        "base-uri": ["'none'"],
    }
    return "; ".join(" ".join([name, *filter(None, values)]) for name, values in parts.items())
