"""A small platform for the tests of `lti_tool.lti`: real keys, really signed tokens, a real HTTP server."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from jwt.algorithms import RSAAlgorithm

from lti_tool.db import Database
from lti_tool.http import new_session
from lti_tool.lti.keysets import KeySets
from lti_tool.lti.launch import VerifiedLaunch, verify
from lti_tool.lti.login import LoginRedirect, StateSigner, start_login
from lti_tool.models import Deployment, Platform
from tests.http_server import AnsweringServer, json_answer

ISSUER = "https://moodle.example"
CLIENT_ID = "tool-client"
LAUNCH_URL = "https://tool.example/lti/launch"
LTI = "https://purl.imsglobal.org/spec/lti/claim/"
MEMBERSHIP = "http://purl.imsglobal.org/vocab/lis/v2/membership"
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@cache
def private_key(name: str = "platform") -> RSAPrivateKey:
    """One RSA key for a name and test run, because making one is slow."""
    assert name
    return generate_private_key(public_exponent=65537, key_size=2048)


def public_jwk(kid: str = "key-1", name: str = "platform", **members: object) -> dict[str, Any]:
    """A public key as Moodle publishes it."""
    jwk: dict[str, Any] = RSAAlgorithm.to_jwk(private_key(name).public_key(), as_dict=True)
    kept = {key: jwk[key] for key in ("kty", "n", "e")}
    return {**kept, "kid": kid, "alg": "RS256", "use": "sig", **members}


@dataclass
class Draft:
    """A launch before it is signed; tests spoil it."""

    claims: dict[str, Any]
    cookies: dict[str, str]
    form: dict[str, str]
    headers: dict[str, Any] = field(default_factory=lambda: {"kid": "key-1"})
    key: str = "platform"
    now: datetime = NOW
    sign: Callable[["Draft"], str] | None = None

    def signed_form(self) -> dict[str, str]:
        """The form with the token in it, if the test has not put another one there."""
        token = self.sign(self) if self.sign else self.token()
        return {"id_token": token, **self.form}

    def token(self, algorithm: str = "RS256") -> str:
        """The claims, signed."""
        return jwt.encode(self.claims, private_key(self.key), algorithm=algorithm, headers=self.headers)


@dataclass
class World:
    """The tool's database and keys, and the platform."""

    database: Database
    server: AnsweringServer
    signer: StateSigner
    keysets: KeySets
    platform_id: int

    def login(self, **params: str) -> LoginRedirect:
        """A login as Moodle starts it (contracts/moodle-4.2/login-initiation.json)."""
        given = {
            "iss": ISSUER,
            "client_id": CLIENT_ID,
            "login_hint": "4",
            "lti_message_hint": '{"cmid":2,"launchid":"ltilaunch1_719321973"}',
            "target_link_uri": LAUNCH_URL,
            "lti_deployment_id": "1",
        }
        chosen = {name: value for name, value in {**given, **params}.items() if value}
        with self.database.read() as session:
            return start_login(session, chosen, self.signer, LAUNCH_URL, NOW)

    def draft(self) -> Draft:
        """A correct launch of a learner, as recorded from Moodle."""
        login = self.login()
        query = query_of(login.url)
        return Draft(
            claims=launch_claims(query["nonce"]),
            cookies={login.cookie_name: login.cookie_value},
            form={"state": query["state"]},
        )

    def verify(self, draft: Draft) -> VerifiedLaunch:
        """What the tool says to a launch."""
        return verify(
            self.database,
            draft.signed_form(),
            draft.cookies,
            self.signer,
            self.keysets,
            LAUNCH_URL,
            draft.now,
        )

    def change_platform(self, **values: object) -> None:
        """Write values into the platform's row."""
        with self.database.write() as session:
            platform = session.get_one(Platform, self.platform_id)
            for name, value in values.items():
                setattr(platform, name, value)
            session.commit()

    def platform(self) -> Platform:
        """The platform's row as it is now."""
        with self.database.read() as session:
            return session.get_one(Platform, self.platform_id)


def make_world(database: Database, server: AnsweringServer) -> World:
    """A registered platform with one approved deployment and one that is not."""
    server.answers["/jwks"] = json_answer({"keys": [public_jwk()]})
    platform = Platform(
        name="Moodle of the school",
        issuer=ISSUER,
        client_id=CLIENT_ID,
        auth_login_url=f"{ISSUER}/mod/lti/auth.php",
        auth_token_url=f"{server.url}/token",
        jwks_url=f"{server.url}/jwks",
        created_at=NOW,
    )
    with database.write() as session:
        platform.deployments = [
            Deployment(deployment_id="1", approved=True, created_at=NOW),
            Deployment(deployment_id="new", approved=False, created_at=NOW),
        ]
        session.add(platform)
        session.commit()
    keysets = KeySets(database, new_session(allow_private_addresses=True))
    return World(database, server, StateSigner(["n" * 40, "o" * 40]), keysets, platform.id)


def launch_claims(nonce: str) -> dict[str, Any]:
    """The claims of a learner's launch, as recorded from Moodle."""
    memberships = f"{ISSUER}/mod/lti/services.php/CourseSection/2/bindings/1/memberships"
    return {
        "nonce": nonce,
        "iat": int(NOW.timestamp()),
        "exp": int((NOW + timedelta(seconds=60)).timestamp()),
        "iss": ISSUER,
        "aud": CLIENT_ID,
        "sub": "4",
        "given_name": "Stu1",
        "family_name": "Dent",
        "name": "Stu1 Dent",
        "email": "student1@school.example",
        f"{LTI}deployment_id": "1",
        f"{LTI}target_link_uri": LAUNCH_URL,
        f"{LTI}roles": [f"{MEMBERSHIP}#Learner"],
        f"{LTI}context": {"id": "2", "label": "BIO101", "title": "Biology 101", "type": ["CourseSection"]},
        f"{LTI}message_type": "LtiResourceLinkRequest",
        f"{LTI}resource_link": {"title": "Badges", "description": "", "id": "1"},
        f"{LTI}launch_presentation": {"locale": "en", "return_url": f"{ISSUER}/mod/lti/return.php?course=2"},
        f"{LTI}version": "1.3.0",
        "https://purl.imsglobal.org/spec/lti-ags/claim/endpoint": {
            "scope": ["https://purl.imsglobal.org/spec/lti-ags/scope/lineitem"],
            "lineitems": f"{ISSUER}/mod/lti/services.php/2/lineitems?type_id=1",
        },
        "https://purl.imsglobal.org/spec/lti-nrps/claim/namesroleservice": {
            "context_memberships_url": memberships,
            "service_versions": ["1.0", "2.0"],
        },
    }


def query_of(url: str) -> dict[str, str]:
    """The parameters of an address."""
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def segment(value: object) -> str:
    """One part of a token, made by hand."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()
