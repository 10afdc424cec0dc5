"""Deep Linking: a teacher chooses which badges a link in the course opens."""

from flask import Blueprint, g, render_template, request, url_for
from itsdangerous import BadSignature, URLSafeTimedSerializer

from lti_tool.domain.launch import ContentRequest
from lti_tool.errors import InvalidInputError
from lti_tool.lti.deeplinking import Link
from lti_tool.services import linking
from lti_tool.services.reports.course import course_report
from lti_tool.web.parts import public_url, tools, utc_now

blueprint = Blueprint("choosing", __name__, url_prefix="/courses/<int:course_id>")

TICKET_SECONDS = 3600
COURSE_LINK = "Badges of this course"


def page(course_id: int, deployment_id: int, asked: ContentRequest) -> str:
    """The answer to a deep linking launch: choose all badges of the course, or one."""
    with tools().database.read() as session:
        report = course_report(session, course_id)
        course = linking.find_course(session, course_id)
    return render_template(
        "course/choose_link.html",
        course=course,
        rules=report.rules,
        asked=asked,
        ticket=_tickets().dumps(
            [course_id, deployment_id, asked.return_url, asked.data, asked.takes_several, asked.takes_line_items]
        ),
    )


@blueprint.post("/choose")
def choose(course_id: int) -> str:
    """Send the chosen links back to the LMS, signed; without a choice it learns that nothing was chosen.

    The ticket was given to a teacher of this course and nobody can guess it, so it is all that is asked for: LMSs show
    this page in a frame, where not every browser keeps a session.
    """
    asked, deployment_id = _read(course_id, request.form.get("ticket", ""))
    # The page of the LMS around this one, as its signed launch has said; the answer goes there, too.
    g.frame_origin = g.form_origin = asked.return_url
    links = [] if request.form.get("decision") == "cancel" else _links(course_id, asked)
    url = public_url(url_for("lti.launch"))
    message = linking.respond(tools(), deployment_id, asked, links, url, utc_now())
    return render_template("launch/send_back.html", return_url=asked.return_url, message=message)


def _links(course_id: int, asked: ContentRequest) -> list[Link]:
    with tools().database.read() as session:
        names = {rule.id: rule.badge.name for rule in course_report(session, course_id).rules}
    chosen = request.form.getlist("link")
    if not chosen or (len(chosen) > 1 and not asked.takes_several):
        raise InvalidInputError("Choose what the link opens: go back and choose one entry.")
    with_column = asked.takes_line_items and request.form.get("column") == "yes"
    links = []
    for value in chosen:
        rule_id = int(value) if value.isascii() and value.isdigit() else None
        if value == "course":
            links.append(Link(COURSE_LINK))
        elif rule_id in names:
            links.append(Link(f"Badge: {names[rule_id]}", rule_id, f"Badge: {names[rule_id]}" if with_column else None))
        else:
            raise InvalidInputError("That badge is not one of this course.")
    return links


def _read(course_id: int, ticket: str) -> tuple[ContentRequest, int]:
    try:
        told = _tickets().loads(ticket, max_age=TICKET_SECONDS)
    except BadSignature:
        told = [None]
    if told[0] != course_id:
        raise InvalidInputError("This page was open for too long. Start again in the LMS.", "This choice has ended")
    return ContentRequest(*told[2:]), int(told[1])


def _tickets() -> URLSafeTimedSerializer:
    keys = [key.get_secret_value() for key in reversed(tools().settings.secret_keys)]
    return URLSafeTimedSerializer(keys, salt="deep-linking")
