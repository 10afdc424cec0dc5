"""The roster of a course from the platform's Names and Role Provisioning Service (NRPS 2.0)."""

import html
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from lti_tool.domain.events import Identifier, IdKind
from lti_tool.domain.launch import Role, is_test_user, role_of, strongest
from lti_tool.lti.addresses import is_same_origin
from lti_tool.lti.claims import (
    ID_LENGTH,
    NRPS_SCOPE,
    PERSON_IDS,
    aliases_of,
    email_of,
    is_storable,
    name_of,
    text_of,
    texts_of,
)
from lti_tool.lti.errors import LtiServiceError
from lti_tool.lti.services import ServiceClient

MEDIA_TYPE = "application/vnd.ims.lti-nrps.v2.membershipcontainer+json"
GONE = ("inactive", "deleted")


@dataclass(frozen=True)
class Member:
    """One person of the roster, as far as the platform tells."""

    sub: str
    name: str
    email: str | None
    role: Role
    is_test: bool
    active: bool
    # Other ids, which some platforms tell with a roster for a link of the tool's own.
    aliases: tuple[Identifier, ...] = ()


@dataclass(frozen=True)
class Roster:
    """Everybody in the course at the time of the read, or what has changed since the one before."""

    members: tuple[Member, ...]
    differences_url: str | None = None


def read_roster(
    client: ServiceClient, platform_id: int, memberships_url: str, now: datetime, *, is_canvas: bool = False
) -> Roster:
    """The complete roster; raises LtiServiceError when any part cannot be read, never gives a partial one.

    At a `differences_url` it is what has changed, people who were removed included (NRPS 2.0 §2.4.2).
    """
    # No `limit` is asked for: Moodle then answers with one snapshot. Its pages, counted by position, skip one
    # person when another leaves between two of them, and the skipped one would seem to have left too.
    # Platforms that must page (Canvas: 50) do so by themselves.
    members: dict[str, Member] = {}
    differences_url = None
    for page in client.get_pages(platform_id, memberships_url, [NRPS_SCOPE], MEDIA_TYPE, now):
        differences_url = page.differences_url or differences_url
        for entry in _entries(page.body):
            member = _member(entry, is_canvas=is_canvas)
            members[member.sub] = _merged(members.get(member.sub), member)
    if differences_url and not is_same_origin(differences_url, memberships_url):
        differences_url = None
    return Roster(tuple(members.values()), differences_url)


def for_link(memberships_url: str, link_id: str) -> str:
    """The address of the same roster as one link's launches would tell it (`rlid`, NRPS 2.0 §2.3)."""
    parts = urlsplit(memberships_url)
    # Blackboard's address has a query already.
    query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), ("rlid", link_id)])
    return parts._replace(query=query).geturl()


def _entries(body: list[Any] | dict[str, Any]) -> list[Any]:
    entries = body.get("members") if isinstance(body, dict) else None
    if not isinstance(entries, list):
        raise _unreadable("the answer has no list of members")
    return entries


def _member(entry: Any, *, is_canvas: bool) -> Member:
    user_id = entry.get("user_id") if isinstance(entry, dict) else None
    sub = str(user_id) if isinstance(user_id, str | int) else ""
    if not 0 < len(sub) <= ID_LENGTH or not is_storable(sub):
        raise _unreadable("a member has no usable user_id")
    roles = texts_of(entry, "roles")
    return Member(
        sub=sub,
        # Moodle escapes names here, though not in launches.
        name=html.unescape(name_of(entry)),
        email=email_of(entry),
        role=role_of(roles),
        is_test=is_test_user(roles),
        active=str(entry.get("status", "Active")).lower() not in GONE,
        aliases=_aliases(entry, is_canvas=is_canvas),
    )


def _aliases(entry: dict[str, Any], *, is_canvas: bool) -> tuple[Identifier, ...]:
    messages = entry.get("message")
    found = [
        identifier
        for message in (messages if isinstance(messages, list) else [])
        if isinstance(message, dict)
        for identifier in aliases_of(message, PERSON_IDS, is_canvas=is_canvas)
    ]
    if sourced_id := text_of(entry, "lis_person_sourcedid", ID_LENGTH):
        found.append(Identifier(IdKind.SIS, sourced_id))
    return tuple(dict.fromkeys(found))


def _merged(former: Member | None, member: Member) -> Member:
    if former is None or not former.active or not member.active:
        return former if former is not None and former.active else member
    role = strongest(former.role, member.role) or member.role
    is_test = former.is_test or member.is_test
    aliases = tuple(dict.fromkeys(former.aliases + member.aliases))
    return replace(member, role=role, is_test=is_test, aliases=aliases)


def _unreadable(what: str) -> LtiServiceError:
    advice = f"The roster of the LMS is not usable: {what}. Please show this to the administrator of the LMS."
    return LtiServiceError(advice, retryable=False, status=200)
