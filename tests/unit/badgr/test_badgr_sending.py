"""What is sent to Badgr and where: dates by its clock, Markdown as it takes it, the hosted regions."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from lti_tool.badgr import bodies
from lti_tool.badgr.assertions import NewAward
from lti_tool.badgr.client import BadgrClient
from lti_tool.badgr.presets import PRESETS
from lti_tool.http import new_session
from lti_tool.models import Award, BadgeClass, Course, Person, Rule
from lti_tool.services import narratives
from tests.http_server import AnsweringServer, json_answer

LISTING = "/v2/badgeclasses/b/assertions"
MADE = {"result": [{"entityId": "x"}]}

# Region, pages and API under the new and the old name (developerdocs.instructure.com, services/credentials and
# services/parchment-digital-badges; Moodle's and Totara's lists of Badgr regions). None: not known.
REGIONS = [
    ("us", "https://badges.parchment.com", "https://api.badges.parchment.com"),
    ("eu", "https://badges.parchment.eu", "https://api.badges.parchment.eu"),
    ("ca", "https://badges.parchment.ca", "https://api.badges.parchment.ca"),
    ("au", "https://badges.parchment.au", "https://api.badges.parchment.au"),
    ("sg", None, "https://api.badges.parchment.sg"),
    ("test", "https://test.badges.parchment.com", "https://api.test.badges.parchment.com"),
    ("demo", None, "https://api.demo.badges.parchment.com"),
    ("us-badgr", "https://badgr.com", "https://api.badgr.io"),
    ("eu-badgr", "https://eu.badgr.com", "https://api.eu.badgr.io"),
    ("ca-badgr", "https://ca.badgr.com", "https://api.ca.badgr.io"),
    ("au-badgr", "https://au.badgr.com", "https://api.au.badgr.io"),
    ("sg-badgr", None, "https://api.sg.badgr.io"),
    ("test-badgr", "https://test.badgr.com", "https://api.test.badgr.com"),
    ("demo-badgr", None, "https://api.demo.badgr.com"),
]


def test_every_region_is_known_under_both_names() -> None:
    assert [(key, preset.ui_url, preset.api_url) for key, preset in PRESETS.items()] == REGIONS


@pytest.mark.parametrize(("behind", "is_told"), [(timedelta(hours=2), False), (timedelta(minutes=30), True)])
def test_no_date_is_ahead_of_the_servers_clock(server: AnsweringServer, behind: timedelta, is_told: bool) -> None:
    now = datetime.now(UTC)
    clock = format_datetime(now - behind, usegmt=True)
    client = BadgrClient(server.url, "token", new_session(allow_private_addresses=True))
    server.answers[LISTING] = json_answer({"result": []}, Date=clock)
    client.find_assertions("b", "a@example.org")
    server.answers[LISTING] = json_answer(MADE, 201, Date=clock)
    client.award("b", NewAward("a@example.org", issued_on=now - timedelta(hours=1)))
    assert ("issuedOn" in json.loads(server.seen[-1].get_data())) == is_told


@pytest.mark.parametrize(
    "told",
    [
        "",
        "yesterday",
        "Wed, 21 Oct 2099 07:28:00 GMT",
        "Mon, 01 Jan 0900 00:00:00 GMT",
        "Fri, 31 Dec 99999999999999999999 23:59:59 GMT",
        "Mon, 01 Jan 2024 00:00:00 +99999999",
    ],
)
def test_a_clock_that_is_ahead_or_nonsense_changes_nothing(server: AnsweringServer, told: str) -> None:
    client = BadgrClient(server.url, "token", new_session(allow_private_addresses=True))
    server.answers[LISTING] = json_answer({"result": []}, Date=told)
    client.find_assertions("b", "a@example.org")
    assert client.clock_behind == timedelta(0)


def test_a_date_of_this_minute_is_left_to_the_server() -> None:
    now = datetime.now(UTC)
    assert "issuedOn" not in bodies.award(NewAward("a@example.org", issued_on=now - timedelta(seconds=30)), now)


def test_names_mean_nothing_in_markdown_and_lose_nothing() -> None:
    award = Award(
        rule=Rule(narrative="**Well done**, {learner}!"),
        person=Person(name="Ann <Bo> *Li* AT&amp;T", sub="1"),
        course=Course(title="C", label=""),
        badge_class=BadgeClass(name="B"),
        reasons=[],
        achieved_at=datetime.now(UTC),
    )
    sent = bodies.markdown(narratives.fill(award) or "")
    # CommonMark shows this as the name itself; an escaped entity would be shown as an entity.
    assert sent == r"**Well done**, Ann &lt;Bo\> \*Li\* AT\&amp;T\!".replace(r"\!", "!")


def test_markdown_comes_back_as_it_was_entered() -> None:
    entered = "Score < 5 & **more** than 3 > 2"
    assert bodies.unescaped(bodies.markdown(entered)) == entered
