"""What `/openapi.json` says is so: its references lead somewhere, its example is taken, its answers are given."""

import base64
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import requests
from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from standardwebhooks import Webhook as Signer

from lti_tool.http import new_session
from lti_tool.services import sources
from lti_tool.services.sources import SourceData
from lti_tool.sources import standard
from lti_tool.sources.kind import Access, Delivery, MalformedError
from lti_tool.web import openapi
from tests.functional.test_webhooks import grade_body, post
from tests.world import LEARNER, World


@pytest.fixture
def described(world: World) -> dict[str, Any]:
    response = requests.get(f"{world.tool_url}/openapi.json", timeout=10)
    assert response.headers["Content-Type"] == "application/json"
    found: dict[str, Any] = response.json()
    return found


def nodes(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from nodes(inner)


def operations(described: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method} {path}": operation
        for path, item in described["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    }


def fits(schema: dict[str, Any], value: Any, described: dict[str, Any]) -> bool:
    """Whether a value fits a schema, by the keywords that ours are made of; an unknown one is an error."""
    assert set(schema) <= KEYWORDS, set(schema) - KEYWORDS
    if "$ref" in schema:
        return fits(described["components"]["schemas"][schema["$ref"].rpartition("/")[2]], value, described)
    return all(
        [
            "oneOf" not in schema or sum(fits(one, value, described) for one in schema["oneOf"]) == 1,
            "anyOf" not in schema or any(fits(one, value, described) for one in schema["anyOf"]),
            value == schema.get("const", value),
            value in schema.get("enum", [value]),
            _is_of_type(schema, value),
            _is_in_bounds(schema, value),
            *(fits(schema.get("items", {}), item, described) for item in (value if isinstance(value, list) else ())),
            *_members(schema, value, described),
        ]
    )


KEYWORDS = frozenset(
    [
        "title",
        "description",
        "default",
        "$ref",
        "type",
        "enum",
        "const",
        "properties",
        "required",
        "items",
        "oneOf",
        "anyOf",
        "format",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "minimum",
        "exclusiveMinimum",
        "additionalProperties",
    ]
)
TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
    "integer": int,
    "number": (int, float),
}


def _is_of_type(schema: dict[str, Any], value: Any) -> bool:
    told = schema.get("type", list(TYPES))
    names = told if isinstance(told, list) else [told]
    return any(isinstance(value, TYPES[n]) and (n == "boolean") == isinstance(value, bool) for n in names)


def _is_in_bounds(schema: dict[str, Any], value: Any) -> bool:
    if isinstance(value, str | list):
        unit = "Length" if isinstance(value, str) else "Items"
        return bool(schema.get(f"min{unit}", 0) <= len(value) <= schema.get(f"max{unit}", 10**9))
    if isinstance(value, int | float) and not isinstance(value, bool):
        return bool(value >= schema.get("minimum", value) and value > schema.get("exclusiveMinimum", value - 1))
    return True


def _members(schema: dict[str, Any], value: Any, described: dict[str, Any]) -> Iterator[bool]:
    if isinstance(value, dict):
        yield set(schema.get("required", [])) <= set(value)
        inner = schema.get("properties", {})
        yield from (fits(inner[name], item, described) for name, item in value.items() if name in inner)


def test_the_description_is_whole(described: dict[str, Any]) -> None:
    assert described["openapi"] == "3.1.0"
    assert set(described) <= {"openapi", "info", "servers", "paths", "components", "security"}
    assert {"title", "version"} <= set(described["info"])
    ids = [operation["operationId"] for operation in operations(described).values()]
    assert len(ids) == len(set(ids)) == 6
    for path, item in described["paths"].items():
        in_path = {p["name"] for p in item.get("parameters", []) if p["in"] == "path" and p["required"]}
        assert in_path == {part.strip("{}") for part in path.split("/") if part.startswith("{")}
    for operation in operations(described).values():
        assert operation["summary"]
        assert operation["responses"]
        assert all(response["description"] for response in operation["responses"].values())
    for node in nodes(described):
        if "$ref" in node:
            assert node["$ref"].rpartition("/")[2] in described["components"]["schemas"], node
        for needed in node.get("security", []):
            assert set(needed) <= set(described["components"]["securitySchemes"])


def test_every_described_path_is_there(world: World, described: dict[str, Any]) -> None:
    rules = {
        (rule.rule.replace("<", "{").replace(">", "}"), method)
        for rule in world.app.url_map.iter_rules()
        for method in rule.methods or ()
    }
    for name in operations(described):
        method, path = name.split(" ")
        assert (path, method.upper()) in rules, name


def test_its_example_verifies_and_is_read(described: dict[str, Any]) -> None:
    operation = operations(described)["post /webhooks/{source_id}"]
    headers = {parameter["name"]: parameter["example"] for parameter in operation["parameters"]}
    body = operation["requestBody"]["content"]["application/json"]["examples"]["signed"]["value"]
    assert len(base64.b64decode(openapi.EXAMPLE_SECRET.removeprefix("whsec_"))) >= 24
    signed_at = int(headers["webhook-timestamp"])
    assert signed_at == openapi.EXAMPLE_AT.timestamp()
    # Not by `verify`, which looks at the clock of this machine: the example is older than five minutes.
    again = Signer(openapi.EXAMPLE_SECRET).sign(headers["webhook-id"], openapi.EXAMPLE_AT, body)
    assert again == headers["webhook-signature"]
    (told,) = standard.parse(body.encode())
    assert told.activity.title == "Test event"
    assert fits({"$ref": "#/components/schemas/Delivery"}, json.loads(body), described)


def test_an_example_of_this_moment_passes_as_it_is() -> None:
    now = datetime.now(UTC)
    headers, body = openapi.example(now)
    access = Access([openapi.EXAMPLE_SECRET], {}, new_session(), now)
    assert standard.parse(standard.verify(Delivery(headers, {}, body), access)) == standard.parse(body)


CHANGES: list[tuple[Callable[[dict[str, Any]], Any], bool]] = [
    (lambda body: None, True),
    (lambda body: body.update(data=[body["data"], body["data"]]), True),
    (lambda body: body["data"].update(person={"id": body["data"]["score"]["userId"]}), True),
    (lambda body: body["data"].pop("deployment_id"), True),
    (lambda body: body["data"].pop("course"), False),
    (lambda body: body["data"].update(course="2"), False),
    (lambda body: body["data"]["course"].clear(), False),
    (lambda body: body["data"]["activity"].update(id=""), False),
    (lambda body: body["data"]["score"].pop("userId"), False),
    (lambda body: body["data"]["score"].update(scoreGiven=-1), False),
    (lambda body: body["data"]["score"].update(scoreGiven="9"), False),
    (lambda body: body["data"]["score"].update(scoreMaximum=0), False),
    (lambda body: body["data"]["score"].update(activityProgress="Asleep"), False),
    (lambda body: body.update(data=[]), False),
    (lambda body: body.update(type="grade.deleted"), False),
]  # fmt: skip


@pytest.mark.parametrize(("change", "is_good"), CHANGES)
def test_the_schema_takes_what_the_tool_takes(
    change: Callable[[dict[str, Any]], Any], is_good: bool, world: World, described: dict[str, Any]
) -> None:
    body = grade_body()
    change(body)
    assert fits({"$ref": "#/components/schemas/Delivery"}, body, described) is is_good
    try:
        standard.parse(json.dumps(body).encode())
    except MalformedError:
        assert not is_good
    else:
        assert is_good


def test_every_described_answer_is_given_as_described(world: World, described: dict[str, Any]) -> None:
    good = json.dumps(grade_body()).encode()
    given = [
        post(world, good),
        post(world, b"{}"),
        post(world, good, secret="whsec_" + "AAAA" * 8),
        post(world, good, url=f"{world.tool_url}/webhooks/nobody"),
        post(world, b" " * (world.tools.settings.webhook_max_bytes + 1)),
        requests.post(world.webhook.url, files={"file": b"x"}, timeout=10),
        _without_database(world, lambda: post(world, good)),
    ]
    told = operations(described)["post /webhooks/{source_id}"]["responses"]
    assert [str(response.status_code) for response in given] == list(told)
    for response, words in zip(given, told.values(), strict=True):
        schema = words["content"]["application/json"]["schema"]
        assert fits(schema, response.json(), described), response.json()
        assert response.headers["Content-Type"] == "application/json"


STATEMENT = {
    "id": "fd41c918-b88b-4b20-a0a5-a4c32391aaa0",
    "timestamp": "2026-11-24T10:00:00Z",
    "actor": {"account": {"homePage": "https://lms.example", "name": LEARNER}},
    "verb": {"id": "http://adlnet.gov/expapi/verbs/completed"},
    "object": {"id": "https://lms.example/mod/quiz/view.php?id=9"},
    "context": {"contextActivities": {"grouping": [{"id": "https://lms.example/course/view.php?id=2"}]}},
}


@pytest.mark.parametrize("method", ["post", "put"])
def test_every_described_answer_to_statements_is_given_as_described(
    world: World, described: dict[str, Any], method: str
) -> None:
    source = sources.add(world.tools, 1, "xapi", SourceData("xAPI", {}), datetime.now(UTC))
    operation = operations(described)[f"{method} /webhooks/{{source_id}}/statements"]
    assert operation["security"] == [{"statements": []}]
    needed = {parameter["name"]: parameter for parameter in operation["parameters"] if parameter["required"]}
    version = {name: parameter["example"] for name, parameter in needed.items() if parameter["in"] == "header"}
    query = {name: STATEMENT["id"] for name, parameter in needed.items() if parameter["in"] == "query"}

    def send(body: bytes, *, key: str = source.public_id, secret: str = source.secret, **headers: str) -> Any:
        sent = {"Content-Type": "application/json"} | version | headers
        url = f"{world.tool_url}/webhooks/{key}/statements"
        return requests.request(method, url, params=query, data=body, headers=sent, auth=("any", secret), timeout=10)

    good = json.dumps(STATEMENT if method == "put" else [STATEMENT]).encode()
    changed = good.replace(b"quiz/view.php?id=9", b"quiz/view.php?id=8")
    given = [
        send(good),
        send(good, **{"X-Experience-API-Version": "0.9"}),
        send(good, secret="wrong"),
        send(good, key="nobody"),
        send(changed),
        send(b" " * (world.tools.settings.webhook_max_bytes + 1)),
        send(good, **{"Content-Type": "text/html"}),
        _without_database(world, lambda: send(good)),
    ]
    assert [str(response.status_code) for response in given] == list(operation["responses"])
    for response, words in zip(given, operation["responses"].values(), strict=True):
        assert response.headers["X-Experience-API-Version"] == "1.0.3"
        if "content" in words:
            assert fits(words["content"]["application/json"]["schema"], response.json(), described)
        else:
            assert response.text == ""


def _without_database(world: World, send: Callable[[], requests.Response]) -> requests.Response:
    def refuse(*_: object) -> None:
        raise OperationalError("connect", {}, Exception("no route"))

    engine = world.tools.database.engine
    event.listen(engine, "do_connect", refuse)
    engine.dispose()
    try:
        return send()
    finally:
        event.remove(engine, "do_connect", refuse)


@pytest.mark.parametrize("kind", ["text/html", "image/png", "multipart/form-data; boundary=x", "application/pdf"])
def test_what_says_that_it_is_no_data_is_refused(world: World, kind: str) -> None:
    response = post(world, json.dumps(grade_body()).encode(), **{"Content-Type": kind})  # type: ignore[arg-type]
    assert response.status_code == 415
    assert "application/json" in response.json()["advice"]


@pytest.mark.parametrize("kind", ["text/plain", "application/jwt", "application/cloudevents+json", ""])
def test_other_names_for_data_are_taken(world: World, kind: str) -> None:
    assert post(world, json.dumps(grade_body()).encode(), **{"Content-Type": kind}).status_code == 202  # type: ignore[arg-type]
