"""Marks deliveries that the tool sends to itself as a test: stored and shown like any other, they change nothing."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from lti_tool.models import Source
from lti_tool.vault import Vault, VaultError

# Stands where the key of a replay does: a test event is never worked on, nor played again.
TEST_RUN = "test"
HEADER = "lti-badges-test"
LONGEST_WAY = timedelta(minutes=5)


def mark(vault: Vault, source: Source, now: datetime) -> str:
    """What a test delivery to this source carries in `HEADER`, whatever its kind; nobody else can make it."""
    return vault.seal(f"test {source.public_id} {now.timestamp()}")


def is_test(vault: Vault, source: Source, headers: Mapping[str, str], now: datetime) -> bool:
    """Whether a delivery is a test that the tool has just sent to this source; names of headers in lower case."""
    try:
        _, public_id, at = vault.open(headers.get(HEADER, "")).split(" ")
    except (VaultError, ValueError):
        return False
    return public_id == source.public_id and abs(now.timestamp() - float(at)) <= LONGEST_WAY.total_seconds()
