"""The platforms' public keys: kept in the platform's row, fetched again when old or when a key is unknown."""

import threading
from collections import defaultdict
from datetime import datetime

import requests
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from lti_tool.db import Database
from lti_tool.jwks import NEVER, PAUSE, fetch_key_set, find_key, is_fresh
from lti_tool.lti.errors import LaunchError
from lti_tool.models import Platform


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
        known = find_key(platform.jwks, kid)
        if known is not None and is_fresh(platform.jwks, platform.jwks_fetched_at, now):
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
        known = find_key(platform.jwks, kid)
        if known is not None and is_fresh(platform.jwks, platform.jwks_fetched_at, now):
            return known
        if now - max(platform.jwks_fetched_at or NEVER, self._failed_at.get(platform_id, NEVER)) >= PAUSE:
            known = self._fetched(platform, kid, known, now)
        if known is None:
            # A failure that is newer than the last success is the likelier cause.
            failed = self._failed_at.get(platform_id, NEVER) >= (platform.jwks_fetched_at or NEVER)
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
        return find_key(key_set, kid)
