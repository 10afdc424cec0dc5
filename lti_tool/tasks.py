"""The queue: a message only wakes somebody to look at a row; a sweep finds every due row, so none may be lost."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from huey import Huey, PostgresHuey, RedisHuey, SqliteHuey, crontab
from huey.api import TaskWrapper
from huey.consumer import Consumer
from sqlalchemy import make_url

from lti_tool.logs import get_logger
from lti_tool.services import changes, delivery, evaluation, intake, notices, pulls, revocation, roster, scores, upkeep
from lti_tool.toolbox import Toolbox

log = get_logger(__name__)

NAME = "lti-badges"


class Queue:
    """The Huey instance of this process with our tasks in it."""

    def __init__(self, tools: Toolbox) -> None:
        self.tools = tools
        self.huey = _huey(tools.settings.queue_url)
        self._tasks = {
            "event": self._task("event", lambda row_id: intake.process(tools, row_id, _now())),
            "award": self._task("award", lambda row_id: delivery.deliver(tools, row_id, _now())),
            "revocation": self._task("revocation", lambda row_id: revocation.revoke(tools, row_id, _now())),
            "score": self._task("score", lambda row_id: scores.send_score(tools, row_id, _now())),
            "changes": self._task("changes", lambda row_id: changes.look(tools, row_id, _now())),
            "person": self._task("person", lambda row_id: evaluation.evaluate_due(tools, row_id, _now())),
            "pull": self._task("pull", lambda row_id: pulls.pull(tools, row_id, _now())),
            "refresh": self._task("refresh", lambda row_id: pulls.now_by_hand(tools, row_id, _now())),
            "notices": self._task("notices", lambda row_id: notices.register(tools, row_id, _now())),
            "roster": self._task("roster", lambda row_id: roster.sync(tools, row_id, _now())),
        }
        self.huey.periodic_task(crontab(minute="*"), name="sweep")(self.sweep)
        # What a worker that died has left is found at once, not only at the next full minute.
        self.huey.on_startup(name="sweep")(self.sweep)

    def wake(self, kind: str, row_id: int, at: datetime | None = None) -> None:
        """Announce a row; a queue that is out of reach is no loss, for the sweep finds the row."""
        try:
            if at is None:
                self._tasks[kind](row_id)
            else:
                delay = max(0.0, (at - _now()).total_seconds())
                self._tasks[kind].schedule((row_id,), delay=delay)
        except Exception:
            log.exception("queue_unreachable", kind=kind, row_id=row_id)

    def sweep(self) -> None:
        """Enqueue every due row and throw away what has expired."""
        for kind, row_id in upkeep.sweep(self.tools, _now()):
            self.wake(kind, row_id)

    def embedded_consumer(self) -> Consumer:
        """A consumer to start and stop inside the web process, whose signal handlers stay in force."""
        # Workers are replaced only by `run`, which is not used here.
        return _EmbeddedConsumer(self.huey, check_worker_health=False, **self._consumer_options())

    def run_consumer(self) -> None:
        """Consume until SIGTERM, then finish what is running."""
        Consumer(self.huey, graceful_signal="TERM", **self._consumer_options()).run()

    def _consumer_options(self) -> dict[str, Any]:
        return {
            "workers": self.tools.settings.worker_threads,
            "worker_type": "thread",
            # SQLite cannot wake a waiting worker: it looks often enough that nobody notices.
            "initial_delay": 0.05,
            "max_delay": 0.2,
        }

    def _task(self, kind: str, work: Callable[[int], object]) -> TaskWrapper:
        def run(row_id: int) -> None:
            work(row_id)

        return self.huey.task(name=kind)(run)


class _EmbeddedConsumer(Consumer):  # type: ignore[misc]
    def _set_signal_handlers(self) -> None:
        """Leave them to the web server."""


def _huey(url: str) -> Huey:
    options = {"results": False, "utc": True}
    if url.startswith(("redis://", "rediss://")):
        return RedisHuey(NAME, url=url, **options)
    parsed = make_url(url)
    if parsed.get_backend_name() == "postgresql":
        dsn = parsed.set(drivername="postgresql").render_as_string(hide_password=False)
        return PostgresHuey(NAME, dsn=dsn, **options)
    Path(parsed.database or "").parent.mkdir(parents=True, exist_ok=True)
    return SqliteHuey(NAME, filename=parsed.database, **options)


def _now() -> datetime:
    return datetime.now(UTC)
