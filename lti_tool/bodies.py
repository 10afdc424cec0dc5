"""Bodies of remote answers, read with a limit."""

import json
import math
import re
from typing import Any

import requests

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
CHUNK_BYTES = 65536


def read_json(response: requests.Response, limit: int) -> Any:
    """The JSON body of a streamed answer; raises ValueError when it is over `limit` bytes or not JSON."""
    body = bytearray()
    for chunk in response.iter_content(CHUNK_BYTES):
        body += chunk
        if len(body) > limit:
            raise ValueError(f"the answer is longer than {limit} bytes")
    try:
        return json.loads(bytes(body))
    except RecursionError:
        raise ValueError("the answer is nested too deeply") from None


def finite(value: Any) -> float | None:
    """A number as such; None for what is none, is not finite, or is more than fits."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def storable(text: str) -> str:
    """A text without what no database keeps: NUL, and half of a character pair."""
    return _UNSTORABLE.sub("", text)
