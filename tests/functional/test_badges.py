"""Making and changing badge classes and issuers from the course, and what is written on an assertion."""

import base64
import io
import struct
import zlib
from dataclasses import replace
from datetime import timedelta

import pytest
from PIL import Image

from lti_tool.errors import InvalidInputError
from lti_tool.sandbox.badgr.state import Assertion, BadgeClass
from lti_tool.sandbox.faults import Fault
from lti_tool.sandbox.visitor import Visitor
from lti_tool.services import pictures
from tests.world import LEARNER, TEACHER, World

GOOD = {"name": "Botany", "description": "Knows plants", "criteria": "Pass **it**.", "tags": "plants, green, plants"}
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 4 4"><script>alert(1)</script><circle r="2"/></svg>'


def png(size: tuple[int, int] = (30, 20), kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, "green").save(out, kind)
    return out.getvalue()


def connected(world: World, user: str = "Olive Owner") -> Visitor:
    """A teacher whose course uses an issuer in which the account has its role."""
    teacher = world.launch(TEACHER)
    world.connect(teacher, user)
    teacher.open(world.course_url(teacher) + "issuer")
    teacher.submit("/issuer", {"issuer": teacher.page.select_one("input[name=issuer]")["value"]})
    return teacher


def send(world: World, teacher: Visitor, path: str, told: dict[str, str], picture: bytes | None) -> Visitor:
    teacher.open(f"{world.tool_url}/courses/1/{path}")
    if picture is not None:
        file = io.BytesIO(picture)
        file.name = "picture.bin"
        teacher.browser.select_form("form[enctype]").set("picture", file)
        # mechanicalsoup takes the form with what is set in it.
        for name, value in told.items():
            teacher.browser.form.set(name, value)
        teacher.status = teacher.browser.submit_selected().status_code
        return teacher
    return teacher.submit(None, told)


def badge(world: World, name: str) -> BadgeClass:
    return next(b for b in world.badgr.badge_classes.values() if b.name == name)


@pytest.mark.parametrize("user", ["Olive Owner", "Eddy Editor"])
def test_a_badge_is_made_with_everything(world: World, user: str) -> None:
    more = {"alignments": "Biology | https://std.example/1", "amount": "2", "unit": "years", "criteria_url": ""}
    teacher = send(world, connected(world, user), "badges/new", GOOD | more, png())
    assert "“Botany” is saved at Badgr" in teacher.text
    made = badge(world, "Botany")
    assert made.tags == ["plants", "green"]
    assert made.expires == {"amount": 2, "duration": "years"}
    assert made.alignments[0]["targetUrl"] == "https://std.example/1"
    assert isinstance(made.picture, bytes)
    # It is chosen in the list that comes next.
    checked = teacher.page.select_one("input[name=badge_class][checked]")
    assert checked["value"] == made.entity_id


def test_a_badge_is_changed_and_keeps_its_picture(world: World) -> None:
    teacher = connected(world)
    present = badge(world, "Algebra I")
    teacher.open(f"{world.tool_url}/courses/1/badges/{present.entity_id}")
    assert teacher.page.select_one("#name")["value"] == "Algebra I"
    picture = present.picture
    send(world, teacher, f"badges/{present.entity_id}", GOOD | {"name": "Algebra, new"}, None)
    assert (present.name, present.picture) == ("Algebra, new", picture)


def test_a_change_keeps_what_the_form_does_not_show(world: World) -> None:
    teacher = connected(world)
    present = badge(world, "Algebra I")
    full = {"targetName": "Biology", "targetUrl": "https://std.example/1", "targetCode": "B1"}
    present.alignments = [full | {"targetDescription": "Of plants", "targetFramework": "State"}]
    present.criteria_narrative = "Score &lt; 5 mistakes"
    teacher.open(f"{world.tool_url}/courses/1/badges/{present.entity_id}")
    assert teacher.page.select_one("#criteria").text.strip() == "Score < 5 mistakes"
    more = {"alignments": "Botany | https://std.example/1\nNew | https://std.example/2", "criteria": "Score < 5"}
    send(world, teacher, f"badges/{present.entity_id}", GOOD | more, None)
    kept, new = present.alignments
    assert kept == full | {"targetName": "Botany", "targetDescription": "Of plants", "targetFramework": "State"}
    assert (new["targetName"], new["targetCode"]) == ("New", "")
    assert present.criteria_narrative == "Score &lt; 5"


def test_staff_is_not_offered_to_make_badges(world: World) -> None:
    teacher = connected(world, "Stan Staff")
    assert "Make a new badge" not in teacher.open(f"{world.tool_url}/courses/1/rules/new").text
    assert teacher.open(f"{world.tool_url}/courses/1/badges/new").status == 409
    assert "only staff in this issuer" in teacher.text


def test_a_badge_of_another_issuer_is_not_found(world: World) -> None:
    teacher = connected(world)
    foreign = badge(world, "College Badge")
    assert teacher.open(f"{world.tool_url}/courses/1/badges/{foreign.entity_id}").status == 404


@pytest.mark.parametrize(
    ("change", "picture", "field"),
    [
        ({"name": ""}, b"", "name"),
        ({"description": ""}, None, "description"),
        ({"criteria": ""}, None, "criteria"),
        ({"criteria_url": "nonsense"}, None, "criteria_url"),
        ({"alignments": "no address"}, None, "alignments"),
        ({"amount": "0"}, None, "amount"),
        ({"amount": "1.5"}, None, "amount"),
        ({"amount": "²"}, None, "amount"),
        ({}, None, "picture"),
        ({}, b"not a picture", "picture"),
        ({}, png()[:60], "picture"),
    ],
)
def test_faults_are_named_and_nothing_is_made(
    world: World, change: dict[str, str], picture: bytes | None, field: str
) -> None:
    teacher = send(world, connected(world), "badges/new", GOOD | change, picture)
    assert teacher.status == 422
    assert teacher.page.select_one(f"#fault-{field}")
    assert "Botany" not in {b.name for b in world.badgr.badge_classes.values()}
    # What was entered is not lost.
    assert teacher.page.select_one("#tags")["value"] == GOOD["tags"]


def test_too_large_an_upload_is_refused(world: World) -> None:
    assert send(world, connected(world), "badges/new", GOOD, b"x" * (3 * 1024 * 1024)).status == 413


def test_what_badgr_refuses_is_shown_at_the_form(world: World) -> None:
    teacher = connected(world)
    told = {"name": "New", "url": "https://new.example/", "email": "stranger@example.org", "description": ""}
    send(world, teacher, "issuers/new", told, None)
    assert teacher.status == 422
    assert "must be one of your verified addresses" in teacher.text


def test_an_issuer_is_made_and_used(world: World) -> None:
    teacher = connected(world, "Stan Staff")
    told = {"name": "Stan's School", "url": "https://stan.example/", "email": "staff@example.org", "description": "d"}
    send(world, teacher, "issuers/new", told, None)
    assert "this course awards in its name" in teacher.text
    # Its maker is its owner, and may make badges now.
    assert teacher.open(f"{world.tool_url}/courses/1/badges/new").status == 200


def test_an_issuer_is_changed(world: World) -> None:
    teacher = connected(world)
    issuer = next(i for i in world.badgr.issuers.values() if i.name == "Loopback University")
    staff = dict(issuer.staff)
    told = {"name": "Loopback U", "url": "https://lu.example/", "email": "owner@example.org", "description": "d"}
    send(world, teacher, f"issuers/{issuer.entity_id}", told, None)
    assert (issuer.name, issuer.staff) == ("Loopback U", staff)


# -- many of them --


def test_badges_are_found_by_words_in_their_texts(world: World) -> None:
    teacher = connected(world)
    first = badge(world, "Algebra I")
    for number in range(9):
        made = replace(first, name=f"Botany {number}", description="Of plants", tags=["Green"], entity_id=f"b{number}")
        world.badgr.badge_classes[made.entity_id] = made
    page = f"{world.tool_url}/courses/1/rules/new"
    assert len(teacher.open(page).page.select("label.choice")) == 13
    (only,) = teacher.open(f"{page}?q=green+7").page.select("label.choice")
    assert "Botany 7" in only.text
    teacher.open(f"{page}?q=zebra")
    assert "No badge of Loopback University has “zebra” in it" in teacher.text


def test_issuers_are_found_by_words(world: World) -> None:
    teacher = connected(world)
    owner = next(user for user in world.badgr.users.values() if user.name == "Olive Owner")
    first = next(iter(world.badgr.issuers.values()))
    for number in range(9):
        made = replace(first, name=f"School {number}", staff={owner.entity_id: "owner"}, entity_id=f"i{number}")
        world.badgr.issuers[made.entity_id] = made
    teacher.open(f"{world.tool_url}/courses/1/issuer?q=school+3")
    (only,) = teacher.page.select("label.choice")
    assert "School 3" in only.text
    teacher.submit("/issuer", {"issuer": "i3"})
    assert "School 3 has no badges yet" in teacher.text


# -- pictures --


def test_pictures_become_small_square_pngs_without_anything_beside() -> None:
    for kind in ("PNG", "JPEG", "WEBP"):
        head, _, content = pictures.data_uri(png((900, 300), kind)).partition(",")
        assert head == "data:image/png;base64"
        with Image.open(io.BytesIO(base64.b64decode(content))) as made:
            assert (made.size, made.format, made.info.get("exif")) == ((400, 400), "PNG", None)


def test_drawings_lose_their_scripts() -> None:
    head, _, content = pictures.data_uri(SVG).partition(",")
    assert head == "data:image/svg+xml;base64"
    drawing = base64.b64decode(content)
    assert b"circle" in drawing
    assert b"script" not in drawing


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def bomb(side: int) -> bytes:
    """A few bytes of PNG that say that the picture is as wide and as high as this."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0"))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<svg",
        b"<svg" + b" " * 300_000,
        b"\x89PNG\r\n",
        b"x" * 3_000_000,
        pytest.param(bomb(7_000), id="large"),
        pytest.param(bomb(30_000), id="bomb"),
    ],
)
def test_what_is_no_picture_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidInputError):
        pictures.data_uri(content)


def jpeg(size: tuple[int, int]) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, "teal").save(out, "JPEG")
    return out.getvalue()


def test_many_pixels_are_taken_of_photographs_only() -> None:
    # 116 KB of PNG were half a gigabyte of memory; a JPEG is read at a smaller scale at once.
    assert pictures.data_uri(jpeg((4000, 3000))).startswith("data:image/png")
    for content in (bomb(2_001), jpeg((5000, 4000))):
        with pytest.raises(InvalidInputError, match="too many pixels"):
            pictures.data_uri(content)


# -- what is written on an assertion --


def the_assertion(world: World) -> Assertion:
    return next(a for a in world.badgr.assertions.values() if a.recipient.identity == "learner@example.org")


def test_narrative_evidence_and_end_are_written_on_the_badge(world: World) -> None:
    teacher = world.ready_course(badge="First Aid")
    teacher.open(f"{world.tool_url}/courses/1/rules/1")
    written = "**Well done**, {learner}: {reasons} <b>"
    teacher.submit("/options", {"narrative": written, "evidence_url": "https://school.example/task"})
    world.grade(LEARNER, score=9)
    world.work()
    made = the_assertion(world)
    assert made.narrative == "**Well done**, Lea Learner: Quiz 1: 90 % reached, 80 % needed. &lt;b>"
    assert made.evidence == [{"url": "https://school.example/task", "narrative": None}]
    # First Aid is good for a year, and the server does not compute that.
    assert made.expires is not None
    assert timedelta(days=364) < made.expires - made.issued_on < timedelta(days=367)
    assert "Good until" in teacher.open(f"{world.tool_url}/courses/1/awards/{world.award_of(LEARNER).id}").text


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"narrative": "{grade}"}, "There is no {grade}"),
        ({"evidence_url": "javascript:alert(1)"}, "must be a whole address"),
        ({"narrative": "x" * 2001}, "at most 2000 characters"),
    ],
)
def test_bad_options_change_nothing(world: World, told: dict[str, str], said: str) -> None:
    teacher = world.ready_course()
    teacher.open(f"{world.tool_url}/courses/1/rules/1").submit("/options", told)
    assert teacher.status == 400
    assert said in teacher.text


def test_what_was_entered_stays_when_badgr_has_a_problem(world: World) -> None:
    teacher = world.ready_course()
    badge = next(badge for badge in world.badgr.badge_classes.values() if badge.name == "Algebra I")
    teacher.open(f"{world.course_url(teacher)}badges/{badge.entity_id}")
    world.badgr.faults.add(Fault("/badgeclasses/", method="PUT", status=500))
    teacher.submit(None, {"description": "A long new text"})
    assert "Badgr has a problem of its own (HTTP 500). Try it again in a moment." in teacher.text
    assert "tried again by itself" not in teacher.text
    assert "A long new text" in str(teacher.page.select_one("[name=description]"))
    teacher.submit(None, {})
    assert world.badgr.badge_classes[badge.entity_id].description == "A long new text"
