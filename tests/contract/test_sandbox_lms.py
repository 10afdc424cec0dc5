"""Holds the sandbox LMS against what a real Moodle 4.2 sent (moodle-4.2/*.json)."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import jwt
import pytest
import requests
from bs4 import BeautifulSoup, Tag
from flask import Flask, jsonify

from lti_tool.sandbox.lms import Fault, LmsConfig, LmsState, create_lms
from lti_tool.sandbox.lms.keys import new_key
from lti_tool.sandbox.lms.scopes import LINE_ITEM, LINE_ITEM_READ, RESULT_READ, ROSTER, SCORE
from lti_tool.sandbox.serving import LocalServer
from tests.contract.recorded import differences

RECORDED = Path(__file__).parent / "moodle-4.2"
BIOLOGY, TEACHER, LEARNER = "2", "3", "4"
LTI_CUSTOM = "https://purl.imsglobal.org/spec/lti/claim/custom"
TOOL_KEY = new_key()
ROSTER_TYPE = "application/vnd.ims.lti-nrps.v2.membershipcontainer+json"


def recorded(name: str) -> Any:
    return json.loads((RECORDED / f"{name}.json").read_text())


class Lms:
    """A running sandbox LMS and calls to it as the tool."""

    def __init__(self, url: str, state: LmsState) -> None:
        self.url, self.state = url, state

    def assertion(self, **changes: Any) -> str:
        now = int(time.time())
        claims = {
            "iss": "client",
            "sub": "client",
            "aud": f"{self.url}/lti/token",
            "iat": now,
            "exp": now + 60,
            "jti": uuid4().hex,
        }
        return jwt.encode(claims | changes, TOOL_KEY.private, algorithm="RS256", headers={"kid": TOOL_KEY.kid})

    def ask_token(self, *scopes: str, assertion: str | None = None, **changes: str) -> requests.Response:
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": assertion or self.assertion(),
            "scope": " ".join(scopes),
        }
        return requests.post(f"{self.url}/lti/token", data=form | changes, timeout=10)

    def call(self, method: str, path: str, *scopes: str, **kwargs: Any) -> requests.Response:
        headers = kwargs.pop("headers", {})
        if scopes:
            headers = {"Authorization": f"Bearer {self.ask_token(*scopes).json()['access_token']}"} | headers
        url = path if path.startswith("http") else self.url + path
        return requests.request(method, url, headers=headers, timeout=10, allow_redirects=False, **kwargs)

    def login_form(self, sub: str) -> dict[str, str]:
        page = self.call("GET", f"/courses/{BIOLOGY}/badges?as={sub}").text
        return hidden_fields(page)

    def authenticate(self, sub: str, **changes: str) -> requests.Response:
        login = self.login_form(sub)
        asked = {
            "scope": "openid",
            "response_type": "id_token",
            "response_mode": "form_post",
            "prompt": "none",
            "client_id": login["client_id"],
            "redirect_uri": "http://tool.example/launch",
            "login_hint": login["login_hint"],
            "lti_message_hint": login["lti_message_hint"],
            "state": "the state",
            "nonce": "the nonce",
        }
        return requests.get(f"{self.url}/lti/auth", params=asked | changes, timeout=10)


@pytest.fixture(scope="module")
def tool_url() -> Iterator[str]:
    app = Flask("tool")
    app.add_url_rule("/jwks", view_func=lambda: jsonify(keys=[TOOL_KEY.public_jwk()]))
    with LocalServer(app) as server:
        yield server.url


@pytest.fixture
def lms(tool_url: str) -> Iterator[Lms]:
    app = create_lms(LmsConfig(nrps_page_size=5, ags_page_size=2))
    with LocalServer(app, "localhost") as server:
        state: LmsState = app.extensions["sandbox_lms"]
        state.base_url = server.url
        state.register_tool(
            login_url=f"{tool_url}/login",
            launch_url="http://tool.example/launch",
            jwks_url=f"{tool_url}/jwks",
            client_id="client",
        )
        yield Lms(server.url, state)


def hidden_fields(page: str) -> dict[str, str]:
    form = BeautifulSoup(page, "html.parser").select_one("form")
    assert isinstance(form, Tag)
    return {str(field["name"]): str(field["value"]) for field in form.select("input[type=hidden]")}


# -- launches --


def test_login_initiation(lms: Lms) -> None:
    login = lms.login_form(LEARNER)
    told = recorded("login-initiation")["params"]
    assert login.keys() == told.keys()
    assert json.loads(login["lti_message_hint"]).keys() == json.loads(told["lti_message_hint"]).keys()


@pytest.mark.parametrize(("name", "sub"), [("instructor", TEACHER), ("learner", LEARNER)])
def test_launch_claims(lms: Lms, name: str, sub: str) -> None:
    told = recorded(f"id_token-LtiResourceLinkRequest-{name}")
    form = hidden_fields(lms.authenticate(sub).text)
    assert sorted(form) == told["form_keys"]
    assert form["state"] == "the state"
    header = jwt.get_unverified_header(form["id_token"])
    assert header.keys() == told["header"].keys()
    key = next(k for k in lms.call("GET", "/lti/jwks").json()["keys"] if k["kid"] == header["kid"])
    claims = jwt.decode(form["id_token"], jwt.PyJWK(key), algorithms=["RS256"], audience="client")
    assert (claims["iss"], claims["sub"], claims["nonce"]) == (lms.url, sub, "the nonce")
    wrong = differences(claims, told["claims"])
    # Moodle's extra names for its own ids are not imitated: nothing of ours may come to need them.
    assert sorted(wrong) == [f"$.{LTI_CUSTOM}.cid: only in one", f"$.{LTI_CUSTOM}.u: only in one"]
    assert claims["exp"] - claims["iat"] == told["claims"]["exp"] - told["claims"]["iat"]


@pytest.mark.parametrize(
    "change",
    [
        {"redirect_uri": "http://elsewhere.example/launch"},
        {"client_id": "another"},
        {"scope": "profile"},
        {"response_type": "code"},
        {"prompt": "login"},
        {"login_hint": TEACHER},
        {"lti_message_hint": "{}"},
        {"nonce": ""},
    ],
)
def test_a_wrong_authentication_request_gets_no_token(lms: Lms, change: dict[str, str]) -> None:
    response = lms.authenticate(LEARNER, **change)
    assert response.status_code == 400
    assert 'name="id_token"' not in response.text


def test_openid_configuration(lms: Lms) -> None:
    ours, told = lms.call("GET", "/lti/openid-configuration").json(), recorded("openid-configuration")
    assert ours.keys() <= told.keys()
    missing = told.keys() - ours.keys()
    assert all(not name.endswith(("_endpoint", "_uri")) or name == "registration_endpoint" for name in missing)


# -- access tokens --


def test_token(lms: Lms) -> None:
    response = lms.ask_token(ROSTER, "https://purl.imsglobal.org/spec/lti/scope/unknown")
    told = recorded("token-response")
    assert response.status_code == told["status"]
    assert differences(response.json(), told["body"]) == []
    assert response.json()["scope"] == ROSTER


def test_wrong_token_requests(lms: Lms) -> None:
    used = lms.assertion()
    assert lms.ask_token(ROSTER, assertion=used).status_code == 200
    for response, error in (
        (lms.ask_token(ROSTER, assertion=used), "invalid_client"),
        (lms.ask_token(ROSTER, assertion=lms.assertion(aud="http://elsewhere.example")), "invalid_client"),
        (lms.ask_token(ROSTER, assertion=lms.assertion(sub="another")), "invalid_client"),
        (lms.ask_token(ROSTER, assertion=lms.assertion(exp=1)), "invalid_client"),
        (lms.ask_token("openid"), "invalid_scope"),
        (lms.ask_token(ROSTER, grant_type="password"), "unsupported_grant_type"),
    ):
        assert (response.status_code, response.json()) == (400, {"error": error})


def test_services_want_a_token_with_the_right_scope(lms: Lms) -> None:
    for path, right, wrong in (
        (f"/lti/nrps/{BIOLOGY}", ROSTER, SCORE),
        (f"/lti/ags/{BIOLOGY}/lineitems", LINE_ITEM_READ, ROSTER),
        (f"/lti/ags/{BIOLOGY}/lineitems/1/lineitem/results", RESULT_READ, LINE_ITEM),
    ):
        accept = {"Accept": ROSTER_TYPE}
        assert lms.call("GET", path, headers=accept).status_code == 401
        assert lms.call("GET", path, wrong, headers=accept).status_code == 403
        assert lms.call("GET", path, right, headers=accept).status_code in {200, 404}


# -- NRPS --


def test_the_roster_comes_in_pages(lms: Lms) -> None:
    told = recorded("nrps-page1")
    first = lms.call("GET", f"/lti/nrps/{BIOLOGY}", ROSTER, headers={"Accept": ROSTER_TYPE})
    assert first.headers["Content-Type"] == told["headers"]["Content-Type"]
    assert differences(first.json(), told["body"]) == []
    next_page = urlsplit(first.links["next"]["url"])
    assert parse_qs(next_page.query) == {"limit": ["5"], "from": ["5"]}
    page, seen = first, [m["user_id"] for m in first.json()["members"]]
    while "next" in page.links:
        page = lms.call("GET", page.links["next"]["url"], ROSTER, headers={"Accept": ROSTER_TYPE})
        seen += [m["user_id"] for m in page.json()["members"]]
    assert sorted(seen) == sorted(m.person.sub for m in lms.state.courses[BIOLOGY].members)


def test_the_roster_escapes_names_and_leaves_out_missing_addresses(lms: Lms) -> None:
    body = lms.call("GET", f"/lti/nrps/{BIOLOGY}?limit=100", ROSTER, headers={"Accept": ROSTER_TYPE}).json()
    members = {m["user_id"]: m for m in body["members"]}
    assert "Sam O&#x27;Neill" in [m["name"] for m in members.values()]
    assert "email" not in members["5"]
    assert "Inactive" in {m["status"] for m in members.values()}


# -- AGS --


def test_line_items_and_a_score(lms: Lms) -> None:
    base = f"/lti/ags/{BIOLOGY}/lineitems?type_id=1"
    listed = lms.call("GET", base, LINE_ITEM_READ)
    told = recorded("ags-lineitems")
    assert listed.headers["Content-Type"] == told["headers"]["Content-Type"]
    assert differences(listed.json(), told["body"]) == []
    wanted = {"label": "Badge: Lab safety", "scoreMaximum": 100, "resourceId": "rule-1", "tag": "badge"}
    made = lms.call("POST", base, LINE_ITEM, json=wanted)
    told = recorded("ags-lineitem-create")
    assert made.status_code == told["status"]
    assert differences(made.json(), told["body"]) == []
    item = urlsplit(made.json()["id"])
    assert item.query == "type_id=1"
    scores, results = (f"{item.path}/{part}?{item.query}" for part in ("scores", "results"))
    score = {
        "userId": LEARNER,
        "scoreGiven": 83,
        "scoreMaximum": 100,
        "activityProgress": "Completed",
        "gradingProgress": "FullyGraded",
        "timestamp": "2026-11-23T12:00:00Z",
        "comment": "ok",
    }
    posted = lms.call("POST", scores, SCORE, json=score)
    told = recorded("ags-score-post")
    assert (posted.status_code, posted.text) == (told["status"], told["body"])
    read = lms.call("GET", results, RESULT_READ)
    told = recorded("ags-results")
    assert read.headers["Content-Type"] == told["headers"]["Content-Type"]
    assert differences(read.json(), told["body"]) == []
    assert read.json()[0]["resultScore"] == 83
    # A score that is not newer is refused, as Moodle does.
    assert lms.call("POST", scores, SCORE, json=score | {"scoreGiven": 1}).status_code == 409
    assert lms.call("GET", results, RESULT_READ).json()[0]["resultScore"] == 83


@pytest.mark.parametrize(
    "change",
    [
        {"userId": "nobody"},
        {"userId": TEACHER},
        {"timestamp": "yesterday"},
        {"scoreGiven": "high"},
        {"gradingProgress": "Whatever"},
        {"activityProgress": None},
    ],
)
def test_wrong_scores_change_nothing(lms: Lms, change: dict[str, Any]) -> None:
    score = {
        "userId": LEARNER,
        "scoreGiven": 5,
        "scoreMaximum": 10,
        "activityProgress": "Completed",
        "gradingProgress": "FullyGraded",
        "timestamp": "2026-11-23T12:00:00Z",
    }
    path = urlsplit(lms.call("GET", f"/lti/ags/{BIOLOGY}/lineitems", LINE_ITEM).json()[0]["id"]).path
    assert lms.call("POST", f"{path}/scores", SCORE, json=score | change).status_code == 400
    assert lms.call("GET", f"{path}/results", RESULT_READ).json() == []


def test_line_items_are_found_by_resource_in_pages_and_go_away(lms: Lms) -> None:
    base = f"/lti/ags/{BIOLOGY}/lineitems"
    for number in range(3):
        wanted = {"label": f"Badge {number}", "scoreMaximum": 1, "resourceId": f"rule-{number}"}
        assert lms.call("POST", base, LINE_ITEM, json=wanted).status_code == 201
    assert "next" in lms.call("GET", base, LINE_ITEM_READ).links
    found = lms.call("GET", f"{base}?resource_id=rule-1", LINE_ITEM_READ).json()
    assert [item["label"] for item in found] == ["Badge 1"]
    assert lms.call("DELETE", found[0]["id"], LINE_ITEM).status_code == 204
    assert lms.call("GET", f"{base}?resource_id=rule-1", LINE_ITEM_READ).json() == []
    assert lms.call("POST", base, LINE_ITEM, json={"label": "", "scoreMaximum": 1}).status_code == 400


# -- faults --


def test_faults_strike(lms: Lms) -> None:
    lms.state.faults.add(Fault("/lti/nrps/", status=503, headers={"Retry-After": "3"}))
    accept = {"Accept": ROSTER_TYPE}
    struck = lms.call("GET", f"/lti/nrps/{BIOLOGY}", ROSTER, headers=accept)
    assert (struck.status_code, struck.headers["Retry-After"]) == (503, "3")
    assert lms.call("GET", f"/lti/nrps/{BIOLOGY}", ROSTER, headers=accept).status_code == 200
