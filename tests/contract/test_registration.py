"""Our registration against what a real Moodle 4.2 took and gave (moodle-4.2/*.json): configuration, request, answer."""

import json
from pathlib import Path
from typing import Any

import pytest

from lti_tool.http import new_session
from lti_tool.lti.configuration import read_configuration
from lti_tool.lti.registration import (
    TOOL_CONFIGURATION,
    Registered,
    ToolAddresses,
    canvas_document,
    client_metadata,
    register,
)
from tests.http_server import AnsweringServer, json_answer

RECORDED = Path(__file__).parent / "moodle-4.2"
TOOL = ToolAddresses(
    "https://tool.example",
    "https://tool.example/lti/login",
    "https://tool.example/lti/launch",
    "https://tool.example/lti/jwks.json",
    "https://tool.example/icon.svg",
)


def recorded(name: str) -> Any:
    return json.loads((RECORDED / f"{name}.json").read_text())


@pytest.fixture
def moodle(server: AnsweringServer) -> AnsweringServer:
    """A Moodle that gives its recorded answers, at the address of this server."""
    configuration = json.dumps(recorded("openid-configuration"))
    issuer = json.loads(configuration)["issuer"]
    server.answers["/configuration"] = json_answer(json.loads(configuration.replace(issuer, server.url)))
    return server


def take(moodle: AnsweringServer, answer: Any, status: int = 200) -> Registered:
    http = new_session(allow_private_addresses=True)
    found = read_configuration(http, f"{moodle.url}/configuration", "token")
    path = found.registration_url.removeprefix(moodle.url).partition("?")[0]
    moodle.answers[path] = json_answer(answer, status)
    return register(http, found, TOOL, "token")


def test_a_configuration_of_moodle_is_understood(moodle: AnsweringServer) -> None:
    found = read_configuration(new_session(allow_private_addresses=True), f"{moodle.url}/configuration", "token")
    assert found.issuer == moodle.url
    assert found.family == "moodle"
    assert found.auth_login_url == f"{moodle.url}/mod/lti/auth.php"
    assert moodle.seen[-1].headers["Authorization"] == "Bearer token"


def test_the_answer_of_moodle_names_client_and_deployment(moodle: AnsweringServer) -> None:
    answer = recorded("registration-response")
    body = answer.get("body", answer)
    registered = take(moodle, body)
    assert registered == Registered(body["client_id"], body[TOOL_CONFIGURATION]["deployment_id"])
    sent = moodle.seen[-1]
    assert sent.method == "POST"
    assert sent.headers["Authorization"] == "Bearer token"


def test_we_say_whatever_moodle_was_told_in_the_recorded_request() -> None:
    told, ours = recorded("registration-request"), client_metadata(TOOL, "moodle")
    assert told.keys() <= ours.keys()
    assert told[TOOL_CONFIGURATION].keys() <= ours[TOOL_CONFIGURATION].keys()
    for name in ("application_type", "response_types", "token_endpoint_auth_method"):
        assert ours[name] == told[name]
    assert set(ours["grant_types"]) == set(told["grant_types"])
    assert ours["scope"].split() == told["scope"].split()
    assert set(ours[TOOL_CONFIGURATION]["claims"]) == set(told[TOOL_CONFIGURATION]["claims"])
    assert {m["type"] for m in ours[TOOL_CONFIGURATION]["messages"]} == {
        m["type"] for m in told[TOOL_CONFIGURATION]["messages"]
    }
    # Values with "=" come back cut off (LMS.md §2.2).
    assert not any("=" in value for value in ours[TOOL_CONFIGURATION]["custom_parameters"].values())


def test_canvas_hears_its_own_words() -> None:
    ours = client_metadata(TOOL, "canvas")
    configuration = ours[TOOL_CONFIGURATION]
    assert {"client_credentials", "implicit"} == set(ours["grant_types"])
    assert configuration["https://canvas.instructure.com/lti/privacy_level"] == "public"
    placements = {m["type"]: m["placements"] for m in configuration["messages"]}
    assert placements["LtiResourceLinkRequest"] == ["course_navigation"]
    assert set(placements["LtiDeepLinkingRequest"]) == {"link_selection", "assignment_selection"}


NOTICES = "https://purl.imsglobal.org/spec/lti/scope/noticehandlers"


def test_notices_are_asked_for_only_where_there_are_some() -> None:
    assert NOTICES not in client_metadata(TOOL, "moodle")["scope"].split()
    assert NOTICES in client_metadata(TOOL, "canvas")["scope"].split()
    assert NOTICES in client_metadata(TOOL, "desire2learn", tells_of_copies=True)["scope"].split()


def test_both_ways_into_canvas_ask_for_the_same() -> None:
    document, metadata = canvas_document(TOOL), client_metadata(TOOL, "canvas")
    assert document["scopes"] == metadata["scope"].split()
    assert document["custom_fields"] == metadata[TOOL_CONFIGURATION]["custom_parameters"]
    assert document["oidc_initiation_url"] == metadata["initiate_login_uri"]
    assert document["public_jwk_url"] == metadata["jwks_uri"]
    (extension,) = document["extensions"]
    # Canvas wants each placement with its own address and message (lti_dev_key_config.md).
    for placement in extension["settings"]["placements"]:
        assert placement["target_link_uri"] == TOOL.launch_url
        assert placement["message_type"] in ("LtiResourceLinkRequest", "LtiDeepLinkingRequest")
        assert placement["icon_url"]
