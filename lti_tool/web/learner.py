"""The learner's pages: badges of the course, own accounts, the address that badges go to."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from lti_tool.services import backpacks
from lti_tool.services.backpack_tokens import AccountEndedError
from lti_tool.services.reports.learner import learner_report
from lti_tool.web import access
from lti_tool.web.badgr import BACKPACK, ticket_for
from lti_tool.web.hygiene import row_id
from lti_tool.web.parts import tools, utc_now

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
        whole = learner_report(session, course_id, visit.person_id, utc_now())
        own = backpacks.of_person(session, visit.person_id)
    # A link to one badge opens that one (Deep Linking).
    report = whole.only(request.args.get("rule", 0, type=int))
    address = visit.person.badge_address
    notice = TEST_NOTICE if visit.is_test else None if address else NO_ADDRESS_NOTICE
    return render_template(
        "learner/overview.html",
        course=visit.course,
        person=visit.person,
        earned=report.earned,
        open=report.open,
        backpacks=own,
        is_part=report is not whole and len(whole.earned) + len(whole.open) > 1,
        address=address,
        notice=notice,
    )


@blueprint.get("/accounts")
def accounts(course_id: int) -> str:
    """The learner's own accounts, and which address badges go to."""
    visit = access.enter()
    with tools().database.read() as session:
        found = backpacks.of_person(session, visit.person_id, also_ended=True)
    addresses = {address for backpack in found if backpack.dead_since is None for address in backpack.addresses}
    return render_template(
        "learner/accounts.html",
        course=visit.course,
        person=visit.person,
        backpacks=found,
        addresses=sorted(addresses | set(filter(None, [visit.person.chosen_address]))),
        connect_url=url_for("badgr.connect", ticket=ticket_for(visit, BACKPACK)),
    )


@blueprint.get("/accounts/<int:backpack_id>")
def account(course_id: int, backpack_id: int) -> str | Response:
    """Every badge in one of the learner's accounts."""
    visit = access.enter()
    with tools().database.read() as session:
        found = next((b for b in backpacks.of_person(session, visit.person_id) if b.id == backpack_id), None)
    try:
        badges = backpacks.badges(tools(), visit.person_id, backpack_id, utc_now())
    except AccountEndedError:
        # That page says that the account has ended, and how to go on.
        return redirect(url_for("learner.accounts", course_id=course_id), 303)
    return render_template("learner/account.html", course=visit.course, backpack=found, badges=badges)


@blueprint.post("/address")
def choose_address(course_id: int) -> Response:
    """Let badges go to another of one's own addresses."""
    visit = access.enter()
    backpacks.choose_address(tools(), visit.person_id, request.form.get("address", ""), utc_now())
    flash("Badges go there from now on. Those that you have stay where they are.", "success")
    return redirect(url_for("learner.accounts", course_id=course_id), 303)


@blueprint.post("/awards/<int:award_id>/push")
def push(course_id: int, award_id: int) -> Response:
    """Put a badge into one of the learner's accounts."""
    visit = access.enter()
    backpack_id = request.form.get("account", 0, type=row_id)
    try:
        backpacks.push(tools(), visit.person_id, backpack_id, award_id, utc_now())
    except AccountEndedError as error:
        flash(error.advice, "warning")
        return redirect(url_for("learner.accounts", course_id=course_id), 303)
    flash("The badge is in your account.", "success")
    return redirect(url_for("learner.overview", course_id=course_id), 303)


@blueprint.post("/accounts/<int:backpack_id>/disconnect")
def disconnect(course_id: int, backpack_id: int) -> Response:
    """Forget one of the learner's accounts."""
    visit = access.enter()
    has_ended = backpacks.disconnect(tools(), visit.person_id, backpack_id)
    told = "" if has_ended else " It could not be told; take the permission back there, too."
    flash(f"The account is disconnected, and forgotten here.{told}", "success")
    return redirect(url_for("learner.accounts", course_id=course_id), 303)
