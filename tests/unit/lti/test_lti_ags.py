"""Line items, results and scores, with the oddities of real platforms (LMS.md §5.2)."""

from datetime import UTC, datetime

import pytest
from werkzeug.wrappers import Request, Response

from lti_tool.http import new_session
from lti_tool.lti import ags
from lti_tool.lti.errors import LtiServiceError
from lti_tool.lti.services import ServiceClient
from lti_tool.vault import Vault
from tests.http_server import json_answer
from tests.unit.lti.lti_testing import NOW, World

SCOPES = f"{ags.LINE_ITEM_SCOPE} {ags.SCORE_SCOPE} {ags.RESULT_SCOPE}"


@pytest.fixture
def client(world: World) -> ServiceClient:
    world.server.answers["/token"] = json_answer({"access_token": "t", "expires_in": 3600, "scope": SCOPES})
    return ServiceClient(world.database, Vault(["v" * 40]), new_session(allow_private_addresses=True), pauses=())


@pytest.mark.parametrize(
    ("url", "scores"),
    [
        ("https://l.example/li/3/lineitem?type_id=1", "https://l.example/li/3/lineitem/scores?type_id=1"),
        ("https://l.example/li/3", "https://l.example/li/3/scores"),
        ("https://l.example/li/3/", "https://l.example/li/3/scores"),
        ("https://l.example/li?id=a%2Fb&x=1", "https://l.example/li/scores?id=a%2Fb&x=1"),
    ],
)
def test_the_parts_of_a_line_item_stand_before_its_query(url: str, scores: str) -> None:
    assert ags.part_url(url, "scores") == scores


def test_a_line_item_is_found_by_its_resource_even_where_the_filter_is_not_known(
    world: World, client: ServiceClient
) -> None:
    url = world.server.url
    pages = {
        None: ([{"id": f"{url}/1", "resourceId": "other"}], f"<{url}/items?type_id=1&amp;page=2>; rel=“next”"),
        "2": ([{"id": f"{url}/2?t=1", "label": "Mine", "scoreMaximum": 1, "resourceId": "rule-7"}], ""),
    }

    def answer(request: Request) -> Response:
        body, link = pages[request.args.get("page")]
        return json_answer(body, Link=link.encode().decode("latin-1"))(request)

    world.server.answers["/items"] = answer
    found = ags.find_line_item(client, world.platform_id, f"{url}/items?type_id=1", "rule-7", NOW)
    assert found == ags.LineItem(f"{url}/2?t=1", "Mine", 1.0, "rule-7")
    assert ags.find_line_item(client, world.platform_id, f"{url}/items?type_id=1", "rule-8", NOW) is None
    first = next(r for r in world.server.seen if r.path == "/items")
    assert (first.args["type_id"], first.args["resource_id"]) == ("1", "rule-7")


def test_making_renaming_and_removing(world: World, client: ServiceClient) -> None:
    url = world.server.url
    made = {"id": f"{url}/item?t=1", "label": "Badge: A", "scoreMaximum": 1, "resourceId": "rule-7"}
    world.server.answers["/items"] = json_answer(made, 201)
    item = ags.create_line_item(client, world.platform_id, f"{url}/items", "Badge: A", "rule-7", NOW)
    request = world.server.seen[-1]
    assert request.content_type == ags.LINE_ITEM_TYPE
    assert request.get_json(force=True)["scoreMaximum"] == 1
    world.server.answers["/item"] = lambda _: Response(status=204)
    assert ags.rename_line_item(client, world.platform_id, item, "Badge: B", NOW).label == "Badge: B"
    assert (world.server.seen[-1].method, world.server.seen[-1].args["t"]) == ("PUT", "1")
    ags.delete_line_item(client, world.platform_id, item.url, NOW)
    del world.server.answers["/item"]
    ags.delete_line_item(client, world.platform_id, item.url, NOW)


@pytest.mark.parametrize("body", [[], {"label": "x"}, {"id": "javascript:1"}])
def test_a_line_item_without_an_address_is_an_error(world: World, client: ServiceClient, body: object) -> None:
    world.server.answers["/items"] = json_answer(body, 201)
    with pytest.raises(LtiServiceError):
        ags.create_line_item(client, world.platform_id, f"{world.server.url}/items", "A", "r", NOW)


def test_a_score(world: World, client: ServiceClient) -> None:
    world.server.answers["/item/scores"] = lambda _: Response(status=200)
    moment = datetime(2026, 11, 24, 3, 4, 5, 678901, tzinfo=UTC)
    ags.post_score(client, world.platform_id, f"{world.server.url}/item?t=1", "4", 1, moment)
    request = world.server.seen[-1]
    assert (request.args["t"], request.content_type) == ("1", ags.SCORE_TYPE)
    assert request.get_json(force=True) == {
        "userId": "4",
        "scoreGiven": 1,
        "scoreMaximum": 1,
        "activityProgress": "Completed",
        "gradingProgress": "FullyGraded",
        "timestamp": "2026-11-24T03:04:05.678Z",
    }


@pytest.mark.parametrize(
    ("status", "retryable"), [(400, False), (403, False), (404, False), (422, False), (429, True), (503, True)]
)
def test_a_refused_score(world: World, client: ServiceClient, status: int, retryable: bool) -> None:
    world.server.answers["/item/scores"] = json_answer([], status)
    with pytest.raises(LtiServiceError) as caught:
        ags.post_score(client, world.platform_id, f"{world.server.url}/item", "4", 1, NOW)
    assert (caught.value.status, caught.value.retryable) == (status, retryable)


def test_a_score_that_is_there_already_is_done(world: World, client: ServiceClient) -> None:
    world.server.answers["/item/scores"] = json_answer([], 409)
    ags.post_score(client, world.platform_id, f"{world.server.url}/item", "4", 1, NOW)


def test_an_access_token_that_ended_early_is_renewed_once(world: World, client: ServiceClient) -> None:
    statuses = [401, 200]
    world.server.answers["/item/scores"] = lambda _: Response("{}", statuses.pop(0))
    ags.post_score(client, world.platform_id, f"{world.server.url}/item", "4", 1, NOW)
    assert world.server.count("/token") == 2


def test_results_are_read_page_by_page(world: World, client: ServiceClient) -> None:
    url = world.server.url
    pages = {
        None: json_answer(
            [{"userId": "4", "resultScore": 83, "resultMaximum": 100}, {"userId": 5, "resultScore": None}, {}],
            Link=f'<{url}/item/results?t=1&page=2>; rel="next"',
        ),
        "2": json_answer([{"userId": "6", "resultScore": 0.5}]),
    }
    world.server.answers["/item/results"] = lambda request: pages[request.args.get("page")](request)
    assert list(ags.read_results(client, world.platform_id, f"{url}/item?t=1", NOW).results) == [
        ags.LineItemResult("4", 83.0, 100.0),
        ags.LineItemResult("5", None, 1.0),
        ags.LineItemResult("6", 0.5, 1.0),
    ]


def test_results_of_a_known_version_are_not_read_again(world: World, client: ServiceClient) -> None:
    def answer(request: Request) -> Response:
        if request.headers.get("If-None-Match") == 'W/"7"':
            return Response(status=304)
        return json_answer([{"userId": "4", "resultScore": 83}], ETag='W/"7"')(request)

    world.server.answers["/item/results"] = answer
    url = f"{world.server.url}/item"
    first = ags.read_results(client, world.platform_id, url, NOW)
    assert (first.etag, first.is_unchanged, len(first.results)) == ('W/"7"', False, 1)
    again = ags.read_results(client, world.platform_id, url, NOW, etag=first.etag)
    assert again == ags.LineItemResults((), 'W/"7"', is_unchanged=True)
    older = ags.read_results(client, world.platform_id, url, NOW, etag='W/"6"')
    assert (older.is_unchanged, len(older.results)) == (False, 1)


def test_results_on_several_pages_have_no_version(world: World, client: ServiceClient) -> None:
    url = f"{world.server.url}/item"
    more = f'<{url}/results?page=2>; rel="next"'
    pages = {None: json_answer([], ETag='"1"', Link=more), "2": json_answer([], ETag='"2"')}
    world.server.answers["/item/results"] = lambda request: pages[request.args.get("page")](request)
    assert ags.read_results(client, world.platform_id, url, NOW).etag is None
    # Only the first page is asked for on condition.
    ags.read_results(client, world.platform_id, url, NOW, etag='"0"')
    asked = [r.headers.get("If-None-Match") for r in world.server.seen if r.path == "/item/results"]
    assert asked == [None, None, '"0"', None]


def test_not_modified_is_no_answer_to_an_unconditional_question(world: World, client: ServiceClient) -> None:
    world.server.answers["/item/results"] = lambda _: Response(status=304)
    with pytest.raises(LtiServiceError):
        ags.read_results(client, world.platform_id, f"{world.server.url}/item", NOW)


def test_line_items_are_read_with_what_the_course_grants() -> None:
    both = [ags.LINE_ITEM_READ_SCOPE, ags.LINE_ITEM_SCOPE]
    assert ags.reading_scope(both) == ags.LINE_ITEM_SCOPE
    assert ags.reading_scope(both[:1]) == ags.LINE_ITEM_READ_SCOPE
    assert ags.reading_scope([ags.RESULT_SCOPE]) is None


def test_a_course_that_grants_reading_only_is_read(world: World) -> None:
    def token(request: Request) -> Response:
        asked = request.form["scope"]
        if asked != ags.LINE_ITEM_READ_SCOPE:
            return json_answer({"error": "invalid_scope"}, 400)(request)
        return json_answer({"access_token": "t", "scope": asked})(request)

    world.server.answers["/token"] = token
    world.server.answers["/items"] = json_answer([{"id": "https://l.example/1", "label": "Quiz", "scoreMaximum": 5}])
    client = ServiceClient(world.database, Vault(["v" * 40]), new_session(allow_private_addresses=True), pauses=())
    scope = ags.reading_scope([ags.LINE_ITEM_READ_SCOPE])
    (item,) = ags.read_line_items(client, world.platform_id, f"{world.server.url}/items", NOW, scope)
    assert item.label == "Quiz"
