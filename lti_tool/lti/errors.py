"""Why a launch or a platform's service was refused, in words for the person who sees it."""

from dataclasses import dataclass

from lti_tool.errors import LtiBadgesError

AGAIN = "Close this page, go back to the LMS and open the tool from there again."
FAULT = "The LMS sent a launch that breaks the LTI 1.3 rules"
TELL = "Please show this page to the administrator of the LMS."


@dataclass(frozen=True)
class _Refusal:
    status: int
    title: str
    advice: str


def _fault(status: int, what: str) -> _Refusal:
    return _Refusal(status, "The launch from the LMS was not accepted", f"{FAULT}: {what}. {TELL}")


def _setup(status: int, title: str, what: str) -> _Refusal:
    return _Refusal(status, title, f"{what} {TELL}")


_REFUSALS = {
    # The login request
    "issuer_missing": _fault(400, "the login request does not name its issuer (iss)"),
    "login_hint_missing": _fault(400, "the login request has no login_hint"),
    "target_missing": _fault(400, "target_link_uri is missing"),
    "target_elsewhere": _setup(
        400,
        "This address is not part of the tool",
        "The LMS asked to open an address that does not belong to this tool (target_link_uri); "
        "the address of the tool is entered wrongly in the LMS.",
    ),
    "unknown_platform": _setup(
        403,
        "This LMS is not registered",
        "No registration fits the issuer and client id that the LMS sent: it must be registered with this tool first.",
    ),
    "platform_ambiguous": _setup(
        400,
        "The LMS did not say which registration it means",
        "Several registrations share this issuer, and the login request has no client_id to tell them apart.",
    ),
    "platform_disabled": _Refusal(
        403,
        "This LMS is switched off",
        "The registration of this LMS was switched off here. Please ask the administrator of this tool.",
    ),
    # The state and the browser
    "state_missing": _Refusal(400, "This launch is incomplete", f"The answer of the LMS has no state. {AGAIN}"),
    "state_invalid": _Refusal(401, "This launch was not started here", f"Its state was not made by us. {AGAIN}"),
    "state_expired": _Refusal(401, "This launch took too long", f"A launch must end within ten minutes. {AGAIN}"),
    "state_foreign": _Refusal(
        401,
        "This launch was started in another browser",
        f"The cookie of the launch is missing: it is in another browser, or cookies are blocked. {AGAIN} "
        "If that does not help, let the LMS open the tool in a new window, or allow cookies here.",
    ),
    "platform_refused": _Refusal(
        403,
        "The LMS did not let you in",
        f"The LMS answered: {{answer}}. {AGAIN} If it happens again: {TELL}",
    ),
    # The token and its key
    "token_missing": _fault(400, "there is no id_token"),
    "token_unreadable": _fault(400, "the id_token is not a readable JSON web token"),
    "wrong_algorithm": _fault(401, "the id_token is not signed with RS256"),
    "kid_missing": _fault(401, "the header of the id_token does not name its key (kid)"),
    "unknown_key": _setup(
        401,
        "The signature of the LMS is unknown",
        "The key that signed this launch is not in the key set of the LMS ({url}). "
        "If the LMS changed its keys just now, try again in a minute.",
    ),
    "key_set_unreachable": _setup(
        401,
        "The keys of the LMS cannot be read",
        "The key set of {platform} at {url} does not answer as it should: the launch cannot be checked. "
        "Try again in a minute; if it goes on, check that address and whether this server can reach it.",
    ),
    "bad_signature": _fault(401, "the signature does not fit the key of the LMS"),
    # Who it is from and for, and when
    "wrong_issuer": _fault(401, "the issuer (iss) is not the one that started the login"),
    "wrong_audience": _fault(401, "it is meant for another tool (aud)"),
    "untrusted_audience": _fault(401, "it is also meant for an unknown tool (aud)"),
    "wrong_authorized_party": _fault(401, "it was issued to another tool (azp)"),
    "expiry_missing": _fault(401, "it has no usable time of expiry (exp)"),
    "token_expired": _Refusal(
        401,
        "This launch has expired",
        f"{AGAIN} If it happens every time, the clock of the LMS or of this server is wrong: {TELL}",
    ),
    "issued_at_missing": _fault(401, "it has no usable time of issue (iat)"),
    "token_from_future": _setup(401, "The clock of the LMS is wrong", "The launch is dated in the future (iat, nbf)."),
    "token_too_old": _Refusal(401, "This launch is too old", f"It was issued more than an hour ago. {AGAIN}"),
    "nonce_missing": _fault(401, "it has no nonce"),
    "nonce_wrong": _fault(401, "its nonce is not the one of this login"),
    "nonce_replayed": _Refusal(401, "This launch was already used", f"Each launch works only once. {AGAIN}"),
    # The deployment and the message
    "deployment_missing": _fault(400, "deployment_id is missing or longer than 255 characters"),
    "deployment_unknown": _Refusal(
        403,
        "This installation is new",
        "The LMS is known, but not this installation of the tool in it (deployment). It now waits for the "
        "administrator of the Badges tool to approve it.",
    ),
    "deployment_copied": _Refusal(
        403,
        "This looks like a copy of another LMS",
        "The tool knows this LMS at {known}, and was now opened from {seen}. Copies of an LMS, made for tests, must "
        "not award badges. If the LMS has moved, the administrator of this tool can accept the new address.",
    ),
    "deployment_not_approved": _Refusal(
        403,
        "This installation is not approved yet",
        "Please ask the administrator of this tool to approve the deployment.",
    ),
    "wrong_version": _fault(400, "the LTI version is not 1.3.0"),
    "message_type_missing": _fault(400, "message_type is missing"),
    "message_type_unknown": _fault(400, "its message_type is none that this tool handles"),
    "message_incomplete": _fault(400, "its message is not complete ({what})"),
    "deep_link_return_missing": _fault(400, "the deep linking request has no usable deep_link_return_url"),
    "deep_link_data_too_long": _fault(
        400, "what the deep linking request wants back (data) is longer than 64,000 letters"
    ),
    "deep_link_type_refused": _setup(
        400,
        "Badges cannot be put here",
        "The LMS asks for another kind of content than links to a tool (accept_types).",
    ),
    "teachers_choose": _Refusal(
        403, "Only teachers can choose badges", "The LMS says that you do not teach this course. Ask its teacher."
    ),
    "roles_missing": _fault(400, "the list of roles is missing"),
    "resource_link_missing": _fault(400, "resource_link has no id"),
    "anonymous": _Refusal(
        403,
        "The LMS did not say who you are",
        "Badges are given to persons, so the tool needs to know you by an id. Sign in to the LMS and open "
        "the tool again. If you were signed in, ask the administrator of the LMS to let the tool see the "
        "user id (sub).",
    ),
    "claim_unusable": _fault(400, "{claim} is too long or has characters that cannot be kept"),
}


class LaunchError(LtiBadgesError):
    """A login or launch was refused; `code` is a stable word for logs and tests, a key of the table above."""

    def __init__(self, code: str, **details: str) -> None:
        refusal = _REFUSALS[code]
        super().__init__(refusal.advice.format_map(details), refusal.title)
        self.code = code
        self.status = refusal.status
        # The page of the LMS that the launch came from, once its signature was right: it may show what is wrong.
        self.return_url = ""


class LtiServiceError(Exception):
    """A platform's service failed; `retryable`: may work later; `status`: that of the HTTP answer; `retry_after`: the
    seconds that the platform asks to be left alone (RFC 9110 §10.2.3)."""

    def __init__(
        self, advice: str, *, retryable: bool, status: int | None = None, retry_after: float | None = None
    ) -> None:
        super().__init__(advice)
        self.advice = advice
        self.retryable = retryable
        self.status = status
        self.retry_after = retry_after


class NoticeError(LtiBadgesError):
    """A notice of a platform was refused; `code` is a stable word, mostly that of a launch with the same fault."""

    status = 401
    title = "The notice was not accepted"

    def __init__(self, platform: str, code: str) -> None:
        super().__init__(
            f"It is not certain that {platform} has sent this notice to this tool ({code}). Notices are signed with "
            "the key of the LMS, for the client id of the tool, and sent at once."
        )
        self.code = code


class RegistrationError(LtiBadgesError):
    """A registration by the LMS did not come about; nothing was stored."""

    title = "The registration was not completed"


class UnknownDeploymentError(LaunchError):
    """A launch that is right in all but this: nobody has registered its deployment yet."""

    def __init__(self, platform_id: int, deployment_id: str) -> None:
        super().__init__("deployment_unknown")
        self.platform_id = platform_id
        self.deployment_id = deployment_id
