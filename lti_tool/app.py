"""Puts the parts together: the only place that knows all of them."""

from flask import Flask
from flask_login import LoginManager
from flask_wtf import CSRFProtect
from werkzeug.middleware.proxy_fix import ProxyFix

from lti_tool.db import Database
from lti_tool.http import new_session
from lti_tool.logs import configure_logs
from lti_tool.paths import shipped
from lti_tool.settings import Settings
from lti_tool.tasks import Queue
from lti_tool.toolbox import Toolbox
from lti_tool.vault import Vault
from lti_tool.web import (
    access,
    admin,
    admin_badgr,
    admin_events,
    admin_sources,
    assets,
    badges,
    badgr,
    by_hand,
    choosing,
    connections,
    cookieless,
    course,
    decisions,
    errors,
    export,
    filters,
    health,
    hygiene,
    learner,
    lti,
    my,
    openapi,
    people,
    rule_editor,
    rules,
    runs,
    security,
    webhooks,
)
from lti_tool.web.parts import WebParts

BLUEPRINTS = (
    lti.blueprint,
    webhooks.blueprint,
    course.blueprint,
    rules.blueprint,
    rule_editor.blueprint,
    people.blueprint,
    by_hand.blueprint,
    decisions.blueprint,
    runs.blueprint,
    export.blueprint,
    badges.blueprint,
    choosing.blueprint,
    cookieless.blueprint,
    connections.blueprint,
    learner.blueprint,
    my.blueprint,
    badgr.blueprint,
    health.blueprint,
    openapi.blueprint,
    admin.blueprint,
    admin_badgr.blueprint,
    admin_sources.blueprint,
    admin_events.blueprint,
)


def create_tools(settings: Settings) -> Toolbox:
    """What the use cases work with."""
    keys = [key.get_secret_value() for key in settings.secret_keys]
    return Toolbox(
        settings=settings,
        database=Database(settings.database_url),
        vault=Vault(keys),
        http=new_session(settings.allow_private_addresses),
    )


def create_queue(tools: Toolbox) -> Queue:
    """The queue, told of every row that a transaction announces."""
    queue = Queue(tools)
    tools.database.waker = queue.wake
    return queue


def create_app(settings: Settings, tools: Toolbox | None = None) -> Flask:
    """The web application; its queue is at `app.extensions["lti_badges"].queue`."""
    configure_logs(settings.log_level, settings.log_format)
    tools = tools or create_tools(settings)
    app = Flask("lti_tool", template_folder=str(shipped("templates")))
    keys = [key.get_secret_value() for key in settings.secret_keys]
    app.config.update(
        SECRET_KEY=keys[0],
        SECRET_KEY_FALLBACKS=keys[1:],
        MAX_CONTENT_LENGTH=settings.webhook_max_bytes,
        # The tool lives in a frame of another site: only a partitioned cookie gets there (LMS.md §1.3).
        SESSION_COOKIE_NAME="lti_badges",
        SESSION_COOKIE_SAMESITE="None",
        SESSION_COOKIE_SECURE=True,
        SESSION_COOKIE_PARTITIONED=True,
        SESSION_COOKIE_HTTPONLY=True,
        # A form may stay open as long as the session; the session itself ends.
        WTF_CSRF_TIME_LIMIT=None,
    )
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    app.extensions["lti_badges"] = WebParts(tools, create_queue(tools))
    # First, so that a request has its reference before anything can refuse it.
    errors.register(app)
    hygiene.register(app)
    csrf = CSRFProtect(app)
    for public in (lti.blueprint, cookieless.blueprint, choosing.blueprint, webhooks.blueprint):
        csrf.exempt(public)
    # Pages are given what they show; a page about a fault must not look for its visitor once more.
    logins = LoginManager(app, add_context_processor=False)
    access.register(logins)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    assets.register(app)
    filters.register(app)
    security.register(app)
    return app
