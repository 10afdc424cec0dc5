"""Faults on demand for a sandbox server: slow, broken, lost or strange answers, before or after the work was done."""

import re
import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from flask import Flask, Response, abort, g, jsonify, request

STATIC = "/static/"
Kind = Literal["answer", "delay", "reset", "truncate", "alter"]


@dataclass(frozen=True)
class Fault:
    """What happens to the next `times` requests whose path matches; `delay` is in seconds.

    answer: this answer comes instead. delay: the right answer comes late. reset: the connection breaks. truncate: the
    answer breaks off in its middle. alter: in the right answer, what matches `find` is replaced by `body`. With
    `after_work` the server does what was asked before all this.
    """

    path_regex: str
    kind: Kind = "answer"
    method: str | None = None
    times: int = 1
    after_work: bool = False
    delay: float = 0.0
    status: int = 500
    body: str = "<!doctype html><title>Error</title><h1>We're sorry, an error has occurred.</h1>"
    content_type: str = "text/html; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)
    find: str = ""

    def __post_init__(self) -> None:
        """Raises ValueError or re.error for what cannot happen."""
        re.compile(self.path_regex)
        re.compile(self.find)
        if self.kind not in get_args(Kind):
            raise ValueError(f"kind is one of {', '.join(get_args(Kind))}")
        if self.kind in ("truncate", "alter") and not self.after_work:
            raise ValueError("only an answer after the work can be truncated or altered")

    def matches(self, method: str, path: str) -> bool:
        """Whether this request is hit; one for a part of a page (a style, a script) only if the fault names it."""
        is_meant = STATIC in self.path_regex or not path.startswith(STATIC)
        return is_meant and self.method in (None, method) and re.search(self.path_regex, path) is not None


class Faults:
    """The faults that are still to come; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []
        self.struck = 0

    def add(self, fault: Fault) -> None:
        """Let this happen, after what was added before."""
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        """Forget all faults."""
        with self._lock:
            self._faults.clear()

    @property
    def are_over(self) -> bool:
        """Whether every fault has struck (or has begun to)."""
        with self._lock:
            return not self._faults

    def take(self, method: str, path: str) -> Fault | None:
        """The first fault that hits this request, used up by one."""
        with self._lock:
            for index, fault in enumerate(self._faults):
                if fault.matches(method, path):
                    left = [replace(fault, times=fault.times - 1)] if fault.times > 1 else []
                    self._faults[index : index + 1] = left
                    return fault
        return None


def install(app: Flask, faults: Callable[[], Faults]) -> None:
    """Let faults strike an application, and take them over HTTP: `POST` and `DELETE /sandbox/faults`."""

    def before() -> Response | None:
        g.fault = None if request.path.startswith("/sandbox/") else faults().take(request.method, request.path)
        if g.fault is None or g.fault.after_work:
            return None
        faults().struck += 1
        return _strike(g.fault, None)

    def after(response: Response) -> Response:
        fault = g.get("fault")
        if fault is None or not fault.after_work:
            return response
        faults().struck += 1
        return _strike(fault, response) or response

    def change() -> Response:
        if request.method == "DELETE":
            faults().clear()
            return jsonify(ok=True)
        try:
            faults().add(Fault(**request.get_json()))
        except (TypeError, ValueError, re.error) as error:
            abort(400, str(error))
        return jsonify(ok=True)

    app.before_request(before)
    app.after_request(after)
    app.add_url_rule("/sandbox/faults", "sandbox_faults", change, methods=["POST", "DELETE"])


def _strike(fault: Fault, response: Response | None) -> Response | None:
    time.sleep(fault.delay)
    if fault.kind == "answer":
        return Response(fault.body, fault.status, fault.headers, content_type=fault.content_type)
    if fault.kind == "reset":
        _reset()
        # Nobody gets this any more; it only keeps the work from being done when it is not to be.
        return Response(status=500)
    if fault.kind == "truncate" and response is not None:
        whole = response.get_data()
        response.set_data(whole[: len(whole) // 2])
        response.headers["Content-Length"] = str(len(whole))
    if fault.kind == "alter" and response is not None:
        response.set_data(re.sub(fault.find, fault.body, response.get_data(as_text=True)))
    return None


def _reset() -> None:
    """Break the connection so that the other side sees a reset, not an end."""
    connection = request.environ.get("werkzeug.socket")
    if isinstance(connection, socket.socket):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)
