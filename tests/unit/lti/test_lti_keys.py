"""The tool's own keys."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import jwt
from sqlalchemy import select

from lti_tool.db import Database
from lti_tool.lti.keys import LEAD, SigningKey, public_jwks, rotate, signing_key
from lti_tool.models import ToolKey
from lti_tool.vault import Vault
from tests.unit.lti.lti_testing import NOW

VAULT = Vault(["v" * 40])


def make(database: Database) -> SigningKey:
    with database.write() as session:
        key = signing_key(session, VAULT, NOW)
        session.commit()
    return key


def published(database: Database) -> list[dict[str, str]]:
    with database.read() as session:
        keys: list[dict[str, str]] = public_jwks(session)["keys"]
    return keys


def test_the_first_key_is_made_once(database: Database) -> None:
    assert make(database).kid == make(database).kid
    assert len(published(database)) == 1


def test_what_is_signed_can_be_checked_with_the_published_key(database: Database) -> None:
    key = make(database)
    token = jwt.encode({"iss": "tool"}, key.private_pem, algorithm="RS256", headers={"kid": key.kid})
    (jwk,) = published(database)
    assert jwt.decode(token, jwt.PyJWK(jwk), algorithms=["RS256"]) == {"iss": "tool"}


def test_the_published_key_is_complete_and_public_only(database: Database) -> None:
    key = make(database)
    (jwk,) = published(database)
    assert set(jwk) == {"kty", "e", "n", "kid", "alg", "use"}
    assert (jwk["kty"], jwk["alg"], jwk["use"], jwk["kid"]) == ("RSA", "RS256", "sig", key.kid)


def test_the_private_key_is_stored_sealed_and_not_shown(database: Database) -> None:
    key = make(database)
    with database.read() as session:
        row = session.scalars(select(ToolKey)).one()
    assert "PRIVATE" not in row.sealed_private_key
    assert VAULT.open(row.sealed_private_key) == key.private_pem
    assert "PRIVATE" not in repr(key)


def test_after_a_rotation_the_new_key_signs_and_the_former_stays_published(database: Database) -> None:
    former = make(database)
    with database.write() as session:
        new = rotate(session, VAULT, NOW + timedelta(days=1))
        session.commit()
    # Platforms may keep the key set for a while: what they cannot know yet does not sign.
    with database.write() as session:
        rotated = NOW + timedelta(days=1)
        assert signing_key(session, VAULT, rotated + LEAD - timedelta(seconds=1)).kid == former.kid
        assert signing_key(session, VAULT, rotated + LEAD).kid == new.kid != former.kid
    assert [jwk["kid"] for jwk in published(database)] == [new.kid, former.kid]
    with database.read() as session:
        retired = {row.kid: row.retired_at for row in session.scalars(select(ToolKey))}
    assert retired == {former.kid: NOW + timedelta(days=1), new.kid: None}


def test_two_that_start_at_once_make_one_key(database: Database) -> None:
    barrier = Barrier(3)

    def start(_: int) -> str:
        barrier.wait()
        return make(database).kid

    with ThreadPoolExecutor(3) as pool:
        assert len(set(pool.map(start, range(3)))) == 1
    assert len(published(database)) == 1
