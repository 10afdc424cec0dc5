"""The platforms' public keys: kept in the platform's row, fetched again when old or when a key is unknown."""

import re
import threading
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import requests
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import RSAAlgorithm
from jwt.exceptions import InvalidKeyError

from lti_tool.db import Database
from lti_tool.lti.bodies import read_json
from lti_tool.lti.errors import LaunchError
from lti_tool.models import Platform

DEFAULT_LIFETIME, SHORTEST_LIFETIME, LONGEST_LIFETIME = 3600, 300, 86400  # seconds
PAUSE = timedelta(seconds=30)
TIMEOUT = (5.0, 10.0)
MAXIMUM_BYTES = 256 * 1024
KEPT = ("kid", "kty", "alg", "use", "n", "e")
_NEVER = datetime.min.replace(tzinfo=UTC)


class KeySets:
    """Finds the keys of platforms; one object for a process, used by all its threads."""

    def __init__(self, database: Database, http: requests.Session) -> None:
        self.http = http
        self._database = database
        self._guard = threading.Lock()
        self._locks: defaultdict[int, threading.Lock] = defaultdict(threading.Lock)
        self._failed_at: dict[int, datetime] = {}

    def key(self, platform: Platform, kid: str, now: datetime) -> RSAPublicKey:
        """The platform's key of this id; raises LaunchError when it has none or cannot be asked.

        Fetches outside of any transaction; the caller must not hold one either (LTI security framework §6.3).
        """
        known = _find(platform.jwks, kid)
        if known is not None and _is_fresh(platform, now):
            return known
        with self._guard:
            lock = self._locks[platform.id]
        # With an old key at hand nobody waits for the thread that is fetching already.
        if not lock.acquire(blocking=known is None) and known is not None:
            return known
        try:
            return self._refreshed(platform.id, kid, now)
        finally:
            lock.release()

    def _refreshed(self, platform_id: int, kid: str, now: datetime) -> RSAPublicKey:
        with self._database.read() as session:
            platform = session.get_one(Platform, platform_id)
        known = _find(platform.jwks, kid)
        if known is not None and _is_fresh(platform, now):
            return known
        if now - max(platform.jwks_fetched_at or _NEVER, self._failed_at.get(platform_id, _NEVER)) >= PAUSE:
            known = self._fetched(platform, kid, known, now)
        if known is None:
            # A failure that is newer than the last success is the likelier cause.
            failed = self._failed_at.get(platform_id, _NEVER) >= (platform.jwks_fetched_at or _NEVER)
            raise LaunchError(
                "key_set_unreachable" if failed else "unknown_key",
                platform=platform.name,
                url=platform.jwks_url,
            )
        return known

    def _fetched(self, platform: Platform, kid: str, stale: RSAPublicKey | None, now: datetime) -> RSAPublicKey | None:
        try:
            key_set = fetch_key_set(self.http, platform.jwks_url)
        except (requests.RequestException, ValueError):
            self._failed_at[platform.id] = now
            return stale
        self._failed_at.pop(platform.id, None)
        platform.jwks_fetched_at = now
        with self._database.write() as session:
            row = session.get_one(Platform, platform.id)
            row.jwks, row.jwks_fetched_at = key_set, now
            session.commit()
        return _find(key_set, kid)


def fetch_key_set(http: requests.Session, url: str) -> dict[str, Any]:
    """A platform's key set and the seconds that it is good for (`max_age`); raises RequestException or ValueError."""
    with http.get(url, timeout=TIMEOUT, stream=True, headers={"Accept": "application/json"}) as response:
        response.raise_for_status()
        body = read_json(response, MAXIMUM_BYTES)
        lifetime = _lifetime(response.headers.get("Cache-Control", ""))
    keys = body.get("keys") if isinstance(body, dict) else None
    if not isinstance(keys, list):
        raise ValueError("the answer is not a key set")
    kept = [{name: jwk[name] for name in KEPT if name in jwk} for jwk in keys if isinstance(jwk, dict)]
    return {"keys": kept, "max_age": lifetime}


def _is_fresh(platform: Platform, now: datetime) -> bool:
    lifetime = (platform.jwks or {}).get("max_age", DEFAULT_LIFETIME)
    return platform.jwks_fetched_at is not None and now < platform.jwks_fetched_at + timedelta(seconds=lifetime)


def _lifetime(cache_control: str) -> int:
    found = re.search(r"max-age=\"?(\d{1,9})", cache_control.lower())
    return min(max(int(found[1]), SHORTEST_LIFETIME), LONGEST_LIFETIME) if found else DEFAULT_LIFETIME


def _find(key_set: dict[str, Any] | None, kid: str) -> RSAPublicKey | None:
    for jwk in (key_set or {}).get("keys", []):
        # Many platforms leave `alg` and `use` out.
        if jwk.get("kid") != kid or jwk.get("alg", "RS256") != "RS256" or jwk.get("use", "sig") != "sig":
            continue
        if jwk.get("kty") == "RSA" and isinstance(jwk.get("n"), str) and isinstance(jwk.get("e"), str):
            return _public_key(jwk["n"], jwk["e"])
    return None


@lru_cache(maxsize=256)
def _public_key(modulus: str, exponent: str) -> RSAPublicKey | None:
    try:
        key = RSAAlgorithm.from_jwk({"kty": "RSA", "n": modulus, "e": exponent})
    except (InvalidKeyError, ValueError):
        return None
    return key if isinstance(key, RSAPublicKey) else None
