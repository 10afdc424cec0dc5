"""Security headers: a strict content policy, and frames only on the pages of known platforms."""

from flask import Flask, Response, g, request

from lti_tool.lti.addresses import origin_text
from lti_tool.web.parts import parts


def register(app: Flask) -> None:
    """Put the headers on every answer."""

    def protect(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = _policy()
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "same-origin"
        response.headers["Permissions-Policy"] = "camera=(), geolocation=(), microphone=()"
        if request.is_secure:
            response.headers["Strict-Transport-Security"] = "max-age=31536000"
        if request.endpoint != "static":
            response.headers.setdefault("Cache-Control", "no-store")
        return response

    app.after_request(protect)


def _policy() -> str:
    origins = parts().origins
    is_top_level = request.blueprint in ("badgr", "my")
    if request.endpoint not in ("static", "health.healthz"):
        origins.refresh()
    # `frame_origin`: the LMS that shows this page, as a signed launch or a valid registration link said. It may have
    # more hosts than its registration names; `any_frame`: any page may show this, as only a registration's may be;
    # `form_origin`: the LMS that a form of this page leads to; `form_goes_anywhere`: by redirects of the LMS's own.
    # Pages that lead to consent are never shown in a frame, where a stranger could lay something over them.
    told = ["https:"] if g.get("any_frame") else []
    frames = [] if is_top_level else [*origins.frames, *told, origin_text(g.get("frame_origin", ""))]
    policy = {
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
    if g.get("form_goes_anywhere"):
        del policy["form-action"]
    return "; ".join(" ".join([name, *filter(None, values)]) for name, values in policy.items())
