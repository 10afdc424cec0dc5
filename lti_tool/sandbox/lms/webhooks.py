"""Posts grades to the tool's webhook: signed as Standard Webhooks says, tried up to three times with one id."""

import json
import threading
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import requests
from standardwebhooks import Webhook as Signer

from lti_tool.sandbox.lms.state import Activity, Course, Grade, State

TRIES = 3
PAUSE_SECONDS = 1.0
TIMEOUT_SECONDS = 10


@dataclass
class Delivery:
    """One webhook on its way: `status` is the HTTP status of the last answer, 0 for none."""

    id: str
    body: str
    label: str
    attempts: int = 0
    status: int = 0
    answer: str = ""
    done: threading.Event = field(default_factory=threading.Event)


def grade_data(lms: State, course: Course, activity: Activity, sub: str, grade: Grade) -> dict[str, Any]:
    """A grade in the tool's own webhook format: an AGS score, and whose it is."""
    moment = grade.timestamp.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    score: dict[str, Any] = {
        "userId": sub,
        "timestamp": moment,
        "activityProgress": "Completed" if grade.completed else "InProgress",
        "gradingProgress": "FullyGraded" if grade.score is not None else "NotReady",
    }
    if grade.score is not None:
        score |= {"scoreGiven": grade.score, "scoreMaximum": activity.points}
    return {
        "deployment_id": lms.tool.deployment_id if lms.tool else "",
        "course": {"id": course.id, "title": course.title},
        "person": {"id": sub},
        "activity": {"id": activity.id, "title": activity.title, "type": activity.type},
        "score": score,
        "released": True,
    }


def new_delivery(data: Any, label: str) -> Delivery:
    """A webhook with a fresh id, not sent yet."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    body = json.dumps({"type": "grade.updated", "timestamp": now, "data": data})
    return Delivery(f"msg_{uuid.uuid4().hex}", body, label)


def send(lms: State, delivery: Delivery) -> Delivery:
    """Send in the background, again and again with the same id until it is taken; `delivery.done` tells the end."""
    delivery.done.clear()
    threading.Thread(target=_deliver, args=(lms, delivery), daemon=True).start()
    return delivery


def _deliver(lms: State, delivery: Delivery) -> None:
    for attempt in range(TRIES):
        if attempt:
            time.sleep(PAUSE_SECONDS)
        delivery.attempts += 1
        try:
            response = _post(lms, delivery)
            delivery.status, delivery.answer = response.status_code, response.text[:300]
        except requests.RequestException as error:
            delivery.status, delivery.answer = 0, type(error).__name__
        if 200 <= delivery.status < 300:
            break
    delivery.done.set()


def _post(lms: State, delivery: Delivery) -> requests.Response:
    if lms.webhook is None:
        raise requests.ConnectionError("no webhook is set up")
    moment = datetime.now(UTC)
    headers = {
        "Content-Type": "application/json",
        "webhook-id": delivery.id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": Signer(lms.webhook.secret).sign(delivery.id, moment, delivery.body),
    }
    return requests.post(lms.webhook.url, data=delivery.body.encode(), headers=headers, timeout=TIMEOUT_SECONDS)
