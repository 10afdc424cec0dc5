"""Registration by a link over HTTP: who may show its page, what it takes over from the LMS, and what it tells."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
import requests
from bs4 import BeautifulSoup
from sqlalchemy import select, update
from werkzeug.wrappers import Response

from lti_tool.lti.errors import RegistrationError
from lti_tool.lti.registration import TOOL_CONFIGURATION
from lti_tool.models import Deployment, Platform
from lti_tool.services import onboarding
from lti_tool.toolbox import Toolbox
from tests.http_server import AnsweringServer, json_answer
from tests.world import CLIENT_ID, World


def link(world: World) -> str:
    return onboarding.create_link(world.tools, "test", "School", datetime.now(UTC))


def frames(answer: requests.Response) -> list[str]:
    policy = answer.headers["Content-Security-Policy"].split("; ")
    return next(part for part in policy if part.startswith("frame-ancestors")).split()[1:]


@pytest.fixture
def school(server: AnsweringServer) -> AnsweringServer:
    """An LMS that registers the tool as c9."""
    paths = {"authorization_endpoint": "auth", "token_endpoint": "token", "jwks_uri": "jwks"}
    addresses = {name: f"{server.url}/{path}" for name, path in paths.items()}
    told = {"issuer": server.url, "registration_endpoint": f"{server.url}/registration"} | addresses
    server.answers["/configuration"] = json_answer(told)
    server.answers["/registration"] = json_answer({"client_id": "c9"})
    return server


def register(world: World, school: AnsweringServer) -> str:
    """The words of the page at the end."""
    told = {"openid_configuration": f"{school.url}/configuration", "registration_token": "t"}
    answer = requests.post(link(world), params=told, timeout=10)
    page = BeautifulSoup(answer.text, "html.parser")
    return " ".join(page.get_text(" ").split())


def test_any_page_may_show_a_registration_whose_link_is_good(world: World) -> None:
    # Canvas shows it at the institution's host, and its configuration is at another.
    told = {"openid_configuration": "https://canvas.instructure.com/api/lti/security/openid-configuration"}
    assert "https:" in frames(requests.get(link(world), params=told, timeout=10))
    unknown = requests.get(f"{world.tool_url}/lti/register/unknown", params=told, timeout=10)
    assert frames(unknown) == [world.lms_url]


def test_why_a_registration_failed_is_seen_where_it_was_begun(world: World) -> None:
    # Nothing answers at this port.
    told = {"openid_configuration": "http://127.0.0.9:9/configuration"}
    answer = requests.post(link(world), params=told, timeout=10)
    assert answer.status_code == 400
    assert {"https:", "http://127.0.0.9:9"} <= set(frames(answer))


@pytest.mark.parametrize(
    ("said", "kind", "seen"),
    [
        ("The domain must be unique.\n", "text/plain", "status 400: “The domain must be unique.”."),
        ('{"error": "<b>domain</b>"}', "application/json", 'status 400: “{"error": "<b>domain</b>"}”.'),
        ("x" * 5000, "text/plain", f"status 400: “{'x' * 300}”."),
        ("\x1b[2J", "text/plain", "status 400: “[2J”."),
        ("<html>Bad request</html>", "text/html", "status 400."),
        ("", "text/plain", "status 400."),
    ],
)
def test_what_the_lms_says_of_its_refusal_is_shown(
    world: World, school: AnsweringServer, said: str, kind: str, seen: str
) -> None:
    school.answers["/registration"] = lambda _: Response(said, 400, mimetype=kind)
    assert seen in register(world, school)


def test_ids_that_the_lms_writes_as_numbers_are_taken(world: World, school: AnsweringServer) -> None:
    answer = {"client_id": 10000000000001, TOOL_CONFIGURATION: {"deployment_id": 7}}
    school.answers["/registration"] = json_answer(answer)
    assert "Badges is registered" in register(world, school)
    with world.tools.database.read() as session:
        query = select(Platform.client_id, Deployment.deployment_id).join(Deployment).where(Platform.id != 1)
        assert [tuple(row) for row in session.execute(query)] == [("10000000000001", "7")]


def test_an_lms_cannot_take_the_client_id_of_another_at_the_same_token_service(
    world: World, school: AnsweringServer
) -> None:
    """The tool would ask for tokens as that one, and send them to wherever this one says."""
    school.answers["/registration"] = json_answer({"client_id": CLIENT_ID})
    with world.tools.database.write() as session:
        session.execute(update(Platform).values(auth_token_url=f"{school.url}/other"))
        session.commit()
    assert "the client id of another LMS that is known here: Sandbox LMS" in register(world, school)
    with world.tools.database.write() as session:
        session.execute(update(Platform).values(auth_token_url="https://elsewhere.example/token"))
        session.commit()
    assert "Badges is registered" in register(world, school)


def test_an_lms_without_encryption_is_taken_only_for_trying(world: World) -> None:
    url, now = f"{world.lms_url}/lti/openid-configuration", datetime.now(UTC)
    assert onboarding.look_up(world.tools, url).issuer == world.lms_url
    settings = world.tools.settings.model_copy(update={"allow_private_addresses": False})
    live: Toolbox = replace(world.tools, settings=settings)
    with pytest.raises(RegistrationError, match="must start with https"):
        onboarding.look_up(live, url)
    with pytest.raises(RegistrationError, match="must start with https"):
        onboarding.register(live, link(world).rpartition("/")[2], url, None, now)
