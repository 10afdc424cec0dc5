"""The web server (gunicorn), with the queue's consumer inside when the queue is embedded."""

import logging
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger

from lti_tool.app import create_app
from lti_tool.logs import configure_logs
from lti_tool.paths import shipped
from lti_tool.settings import Settings
from lti_tool.web.parts import WebParts


def run_server(settings: Settings) -> None:
    """Serve until the process is told to stop; SIGTERM lets running requests and tasks finish."""
    configure_logs(settings.log_level, settings.log_format)
    _Server(settings).run()


class _Server(BaseApplication):  # type: ignore[misc]
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        super().__init__()

    def load_config(self) -> None:
        for name, value in _read_config().items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)
        self.cfg.set("bind", self.settings.bind)
        self.cfg.set("threads", self.settings.web_threads)
        self.cfg.set("logger_class", _Logger)
        self.cfg.set("post_worker_init", self._start_consumer)
        self.cfg.set("worker_exit", self._stop_consumer)

    def load(self) -> Flask:
        self.application = create_app(self.settings)
        return self.application

    def _start_consumer(self, worker: Any) -> None:
        if self.settings.embedded_worker:
            parts: WebParts = self.application.extensions["lti_badges"]
            self.consumer = parts.queue.embedded_consumer()
            self.consumer.start()

    def _stop_consumer(self, server: Any, worker: Any) -> None:
        if self.settings.embedded_worker and hasattr(self, "consumer"):
            self.consumer.stop(graceful=True)


class _Logger(Logger):  # type: ignore[misc]
    def setup(self, cfg: Any) -> None:
        """Let gunicorn's lines go the way of all others; requests are not logged, for addresses hold codes."""
        self.error_log.setLevel(logging.NOTSET)
        self.error_log.propagate = True


def _read_config() -> dict[str, Any]:
    path = shipped("configs") / "gunicorn.conf.py"
    values: dict[str, Any] = {}
    exec(compile(path.read_text(), str(path), "exec"), values)  # noqa: S102 (our own file, gunicorn's format)
    return values
