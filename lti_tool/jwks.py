"""Public key sets of others (RFC 7517): fetched within limits, searched by key id, kept while they are good."""

import re
import threading
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import requests
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import RSAAlgorithm
from jwt.exceptions import InvalidKeyError

from lti_tool.bodies import read_json

DEFAULT_LIFETIME, SHORTEST_LIFETIME, LONGEST_LIFETIME = 3600, 300, 86400  # seconds
# How long a key set is left alone after it was asked for, whatever it said.
PAUSE = timedelta(seconds=30)
TIMEOUT = (5.0, 10.0)
MAXIMUM_BYTES = 256 * 1024
KEPT = ("kid", "kty", "alg", "use", "n", "e")
NEVER = datetime.min.replace(tzinfo=UTC)


class KeySetUnreachableError(Exception):
    """A key set could not be asked, and no key that was kept fits."""


def fetch_key_set(http: requests.Session, url: str) -> dict[str, Any]:
    """A key set and the seconds that it is good for (`max_age`); raises RequestException or ValueError."""
    with http.get(url, timeout=TIMEOUT, stream=True, headers={"Accept": "application/json"}) as response:
        response.raise_for_status()
        if url.startswith("https://") and not all(r.url.startswith("https://") for r in (*response.history, response)):
            raise ValueError("the key set is at an address without encryption")
        body = read_json(response, MAXIMUM_BYTES)
        lifetime = _lifetime(response.headers.get("Cache-Control", ""))
    keys = body.get("keys") if isinstance(body, dict) else None
    if not isinstance(keys, list):
        raise ValueError("the answer is not a key set")
    kept = [{name: jwk[name] for name in KEPT if name in jwk} for jwk in keys if isinstance(jwk, dict)]
    return {"keys": kept, "max_age": lifetime}


def find_key(key_set: dict[str, Any] | None, kid: str) -> RSAPublicKey | None:
    """The key for RS256 signatures of this id in a fetched key set."""
    for jwk in (key_set or {}).get("keys", []):
        # Many platforms leave `alg` and `use` out.
        if jwk.get("kid") != kid or jwk.get("alg", "RS256") != "RS256" or jwk.get("use", "sig") != "sig":
            continue
        if jwk.get("kty") == "RSA" and isinstance(jwk.get("n"), str) and isinstance(jwk.get("e"), str):
            return _public_key(jwk["n"], jwk["e"])
    return None


def is_fresh(key_set: dict[str, Any] | None, fetched_at: datetime | None, now: datetime) -> bool:
    """Whether a key set that was fetched then is still good."""
    lifetime = (key_set or {}).get("max_age", DEFAULT_LIFETIME)
    return fetched_at is not None and now < fetched_at + timedelta(seconds=lifetime)


@dataclass(frozen=True)
class _Kept:
    key_set: dict[str, Any] | None = None
    fetched_at: datetime | None = None
    asked_at: datetime = NEVER


class KeySetCache:
    """Key sets by their address, kept in memory; one object for a process, used by all its threads."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._kept: dict[str, _Kept] = {}

    def key(self, http: requests.Session, url: str, kid: str, now: datetime) -> RSAPublicKey | None:
        """The key of this id, None when the set has none; raises KeySetUnreachableError when it cannot be asked.

        An old key works on while the set does not answer.
        """
        kept = self._kept.get(url, _Kept())
        known = find_key(kept.key_set, kid)
        if known is not None and is_fresh(kept.key_set, kept.fetched_at, now):
            return known
        with self._guard:
            lock = self._locks[url]
        # With an old key at hand nobody waits for the thread that is fetching already.
        if not lock.acquire(blocking=known is None):
            return known
        try:
            kept = self._refreshed(http, url, kid, now)
        finally:
            lock.release()
        known = find_key(kept.key_set, kid)
        if known is None and kept.fetched_at != kept.asked_at:
            raise KeySetUnreachableError(url)
        return known

    def _refreshed(self, http: requests.Session, url: str, kid: str, now: datetime) -> _Kept:
        kept = self._kept.get(url, _Kept())
        is_known = find_key(kept.key_set, kid) is not None
        if (is_known and is_fresh(kept.key_set, kept.fetched_at, now)) or now - kept.asked_at < PAUSE:
            return kept
        try:
            kept = _Kept(fetch_key_set(http, url), now, now)
        except (requests.RequestException, ValueError):
            kept = _Kept(kept.key_set, kept.fetched_at, now)
        self._kept[url] = kept
        return kept


def _lifetime(cache_control: str) -> int:
    found = re.search(r"max-age=\"?(\d{1,9})", cache_control.lower())
    return min(max(int(found[1]), SHORTEST_LIFETIME), LONGEST_LIFETIME) if found else DEFAULT_LIFETIME


@lru_cache(maxsize=256)
def _public_key(modulus: str, exponent: str) -> RSAPublicKey | None:
    try:
        key = RSAAlgorithm.from_jwk({"kty": "RSA", "n": modulus, "e": exponent})
    except (InvalidKeyError, ValueError):
        return None
    return key if isinstance(key, RSAPublicKey) else None
