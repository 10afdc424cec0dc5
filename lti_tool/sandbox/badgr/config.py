"""What the sandbox Badgr is told from outside."""

from dataclasses import dataclass

KNOWN_SCOPES = ("r:profile", "rw:profile", "r:backpack", "rw:backpack", "rw:issuer", "rw:serverAdmin")


@dataclass(frozen=True)
class BadgrConfig:
    """Settings of one sandbox Badgr; times are in seconds.

    No `redirect_uris` means that any is taken. `case_insensitive` is what MariaDB's collation does to look-ups.
    """

    client_id: str = "lti-tool"
    client_secret: str = "lti-tool-secret-for-loopback-tests"
    redirect_uris: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ("r:profile", "rw:issuer", "r:backpack", "rw:backpack")
    code_lifetime: float = 60.0
    access_lifetime: float = 86400.0
    token_backoff: bool = True
    case_insensitive: bool = True
