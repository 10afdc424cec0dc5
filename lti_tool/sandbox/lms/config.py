"""What the sandbox LMS is told from outside: its own settings, the tool, and where webhooks go."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LmsConfig:
    """Settings of one sandbox LMS; without a `base_url` the first request decides it. Times are in seconds."""

    base_url: str | None = None
    name: str = "Sandbox LMS"
    nrps_page_size: int = 5
    # Tell on request only what has changed in the roster (NRPS 2.0 §2.4.2).
    nrps_differences: bool = False
    # Names and addresses in the roster only for the tool's own link, as Moodle's "delegate to teacher".
    nrps_private: bool = False
    ags_page_size: int = 50
    # Tell the version of lists of line items and results, and say so when a caller has it (RFC 9110 §13.1.2).
    ags_etags: bool = False
    # Moodle dates results, though AGS does not ask for it.
    ags_dates: bool = True
    # Tell the tool when a course was copied (LTI Platform Notification Service 1.0).
    notices: bool = False
    # The token of Moodle's web services, None while they are switched off; and the functions that it may not use.
    ws_token: str | None = None
    ws_refused: tuple[str, ...] = ()
    launch_token_life: int = 60
    access_token_life: int = 3600
    # Canvas tells the deployment only at the first launch, Moodle at the registration.
    names_deployment: bool = True
    # LTI platform storage: none (as Moodle), "_parent" (as Sakai), or the name of a frame (as Canvas).
    storage_target: str | None = None
    webhook_tries: int = 3
    webhook_retry_wait: float = 1.0
    webhook_timeout: float = 10.0


@dataclass(frozen=True)
class Tool:
    """The one registered tool; `launch_url` is its only redirect URI."""

    client_id: str
    deployment_id: str
    login_url: str
    launch_url: str
    jwks_url: str
    target_link_uri: str


@dataclass(frozen=True)
class Webhook:
    """Where grade events are posted, and the `whsec_…` secret that signs them."""

    url: str
    secret: str
