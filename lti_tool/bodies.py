"""Bodies of remote answers, read with a limit."""

import json
from typing import Any

import requests

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
