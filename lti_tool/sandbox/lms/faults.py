"""Faults on demand: slow, broken or strange answers for the tool's tests."""

import re
import socket
import struct
import threading
import time
from dataclasses import dataclass, replace
from typing import Literal

from flask import Response, request

Kind = Literal["status", "delay", "reset", "html"]
KINDS: tuple[Kind, ...] = ("status", "delay", "reset", "html")


@dataclass(frozen=True)
class Fault:
    """What happens to the next `times` requests to a path that matches; `delay` is in seconds."""

    path_regex: str
    kind: Kind = "status"
    method: str | None = None
    status: int = 500
    times: int = 1
    delay: float = 0.0

    def __post_init__(self) -> None:
        re.compile(self.path_regex)
        if self.kind not in KINDS:
            raise ValueError(f"kind is one of {', '.join(KINDS)}")

    def matches(self, method: str, path: str) -> bool:
        """Whether this request is hit."""
        return self.method in (None, method) and re.search(self.path_regex, path) is not None


class Faults:
    """The faults that are still to come; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Let this happen, after what was added before."""
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        """Forget all faults."""
        with self._lock:
            self._faults.clear()

    def take(self, method: str, path: str) -> Fault | None:
        """The first fault that hits this request, used up by one."""
        with self._lock:
            for index, fault in enumerate(self._faults):
                if fault.matches(method, path):
                    left = [replace(fault, times=fault.times - 1)] if fault.times > 1 else []
                    self._faults[index : index + 1] = left
                    return fault
        return None

    def strike(self) -> Response | None:
        """Before each Flask request: the faulty answer, or None to go on."""
        if request.path.startswith(("/sandbox/", "/static/")):
            return None
        fault = self.take(request.method, request.path)
        if fault is None:
            return None
        time.sleep(fault.delay)
        if fault.kind == "delay":
            return None
        if fault.kind == "reset":
            _reset()
        if fault.kind == "html":
            return Response("<!doctype html><title>Maintenance</title><h1>Back soon</h1>", mimetype="text/html")
        return Response("[]", fault.status, mimetype="application/json")


def _reset() -> None:
    connection = request.environ.get("werkzeug.socket")
    if isinstance(connection, socket.socket):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)
