"""Delivers webhooks in the background, signed as Standard Webhooks says, and keeps the outcome."""

import secrets
import threading
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import requests
from standardwebhooks import Webhook as Signer

from lti_tool.sandbox.lms.config import LmsConfig, Webhook


@dataclass(frozen=True)
class Delivery:
    """One webhook and how it went; `id` is its webhook-id, the same in every attempt."""

    id: str
    title: str
    body: str
    attempts: int = 0
    status: int | None = None
    fault: str | None = None
    is_done: bool = False

    @property
    def has_arrived(self) -> bool:
        """Whether the receiver took it (any 2xx)."""
        return self.status is not None and 200 <= self.status < 300


class Outbox:
    """All deliveries of one sandbox LMS, oldest first; safe to use from several threads."""

    def __init__(self, config: LmsConfig) -> None:
        self._config = config
        self._changed = threading.Condition()
        self._deliveries: dict[str, Delivery] = {}
        self._webhook: Webhook | None = None

    @property
    def webhook(self) -> Webhook | None:
        """Where events go; None while nobody wants them."""
        return self._webhook

    @webhook.setter
    def webhook(self, webhook: Webhook | None) -> None:
        if webhook is not None:
            Signer(webhook.secret)  # Raises ValueError or RuntimeError now rather than in the background.
        self._webhook = webhook

    def deliveries(self) -> list[Delivery]:
        """Every delivery so far, oldest first."""
        with self._changed:
            return list(self._deliveries.values())

    def get(self, delivery_id: str) -> Delivery:
        """The present state of a delivery; raises KeyError."""
        with self._changed:
            return self._deliveries[delivery_id]

    def post(self, title: str, body: str) -> Delivery:
        """Start delivering this JSON text; `title` is for the list on the screen."""
        return self._start(Delivery(f"msg_{secrets.token_urlsafe(16)}", title, body))

    def send_again(self, delivery_id: str) -> Delivery:
        """Start delivering it once more under the same webhook-id; raises KeyError."""
        return self._start(replace(self.get(delivery_id), status=None, fault=None, is_done=False))

    def wait(self, delivery_id: str, timeout: float = 60.0) -> Delivery:
        """The delivery when it is done, or after `timeout` seconds as it is then; raises KeyError."""
        with self._changed:
            self._changed.wait_for(lambda: self._deliveries[delivery_id].is_done, timeout)
            return self._deliveries[delivery_id]

    def _start(self, delivery: Delivery) -> Delivery:
        webhook = self._webhook
        if webhook is None:
            return self._keep(replace(delivery, fault="No webhook is registered", is_done=True))
        self._keep(delivery)
        threading.Thread(target=self._deliver, args=(delivery, webhook), daemon=True).start()
        return delivery

    def _keep(self, delivery: Delivery) -> Delivery:
        with self._changed:
            self._deliveries[delivery.id] = delivery
            self._changed.notify_all()
        return delivery

    def _deliver(self, delivery: Delivery, webhook: Webhook) -> None:
        for left in reversed(range(self._config.webhook_tries)):
            status, fault = self._attempt(delivery, webhook)
            delivery = replace(delivery, attempts=delivery.attempts + 1, status=status, fault=fault)
            delivery = self._keep(replace(delivery, is_done=delivery.has_arrived or left == 0))
            if delivery.is_done:
                return
            time.sleep(self._config.webhook_retry_wait)

    def _attempt(self, delivery: Delivery, webhook: Webhook) -> tuple[int | None, str | None]:
        try:
            with requests.Session() as http:
                http.trust_env = False  # The receiver is on this machine, whatever proxy is set.
                response = http.post(
                    webhook.url,
                    data=delivery.body.encode(),
                    headers=_signed(delivery, webhook.secret),
                    timeout=self._config.webhook_timeout,
                    allow_redirects=False,
                )
        except requests.RequestException as error:
            return None, type(error).__name__
        return response.status_code, None


def _signed(delivery: Delivery, secret: str) -> dict[str, str]:
    now = datetime.now(UTC)
    return {
        "Content-Type": "application/json",
        "User-Agent": "SandboxLMS/1",
        "webhook-id": delivery.id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Signer(secret).sign(delivery.id, now, delivery.body),
    }
