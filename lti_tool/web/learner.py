"""The learner's page."""

from flask import Blueprint, render_template, request

from lti_tool.services.reports.learner import learner_report
from lti_tool.web import access
from lti_tool.web.parts import tools

blueprint = Blueprint("learner", __name__, url_prefix="/courses/<int:course_id>/mine")

TEST_NOTICE = (
    "You are looking at this course as a test student. Test students see the badges but are never awarded any."
)
NO_ADDRESS_NOTICE = (
    "Your LMS does not tell us your e-mail address. Badges that you earn are kept for you and go out as soon as it "
    "does. Ask your teacher or the people who run the LMS."
)


@blueprint.get("/")
def overview(course_id: int) -> str:
    """A learner's badges in this course, and what is missing to the others."""
    visit = access.enter()
    with tools().database.read() as session:
        whole = learner_report(session, course_id, visit.person_id)
    # A link to one badge opens that one (Deep Linking).
    report = whole.only(request.args.get("rule", 0, type=int))
    address = visit.person.email
    notice = TEST_NOTICE if visit.is_test else None if address else NO_ADDRESS_NOTICE
    return render_template(
        "learner/overview.html",
        course=visit.course,
        person=visit.person,
        earned=report.earned,
        open=report.open,
        is_part=report is not whole and len(whole.earned) + len(whole.open) > 1,
        address=address,
        notice=notice,
    )
