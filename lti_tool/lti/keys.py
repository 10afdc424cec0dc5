"""The tool's own key pairs: the newest signs, the former ones stay published."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from pylti1p3.registration import Registration
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from lti_tool.models import ToolKey
from lti_tool.vault import Vault

KEY_BITS = 2048
# How long a platform may go on with a key set that it fetched before a rotation.
OVERLAP = timedelta(days=30)
# Platforms may keep the key set for as long as we say (five minutes): a new key is published before it signs.
LEAD = timedelta(minutes=10)
_LOCK = 1_301_000_001  # Any number that nothing else locks with.


@dataclass(frozen=True, repr=False)
class SigningKey:
    """The key that signs now."""

    kid: str
    private_pem: str

    @property
    def private_key(self) -> RSAPrivateKey:
        """The key, ready to sign."""
        # It is our own, out of our own vault: to look for faults in it each time would take longer than to sign.
        key = load_pem_private_key(self.private_pem.encode(), password=None, unsafe_skip_rsa_key_validation=True)
        assert isinstance(key, RSAPrivateKey)
        return key


def signing_key(session: Session, vault: Vault, now: datetime) -> SigningKey:
    """The key to sign with, made when there is none; needs a session for writing, the caller commits."""
    row = _signing(session, now)
    if row is None:
        _lock(session)
        row = _signing(session, now) or _add(session, vault, now)
    return SigningKey(row.kid, vault.open(row.sealed_private_key))


def public_jwks(session: Session) -> dict[str, Any]:
    """The key set to publish: every kept key, newest first (RFC 7517; LTI security framework §6.3)."""
    rows = session.scalars(select(ToolKey).order_by(ToolKey.id.desc()))
    return {"keys": [row.public_jwk for row in rows]}


def rotate(session: Session, vault: Vault, now: datetime) -> SigningKey:
    """Make a new key that signs as soon as platforms can know it; the former stay published."""
    _lock(session)
    for row in session.scalars(select(ToolKey).where(ToolKey.retired_at.is_(None))):
        row.retired_at = now
    return SigningKey((new := _add(session, vault, now)).kid, vault.open(new.sealed_private_key))


def keep_fresh(session: Session, vault: Vault, lifetime: timedelta, now: datetime) -> bool:
    """Rotate when the key that signs is older than `lifetime`, and drop keys retired for long; whether it rotated."""
    for row in session.scalars(select(ToolKey).where(ToolKey.retired_at < now - OVERLAP)):
        session.delete(row)
    newest = _newest(session)
    if newest is None or newest.created_at > now - lifetime:
        return False
    rotate(session, vault, now)
    return True


def _signing(session: Session, now: datetime) -> ToolKey | None:
    """The newest key that every platform can know by now; the former one signs until then."""
    rows = session.scalars(select(ToolKey).order_by(ToolKey.id.desc())).all()
    return next((row for row in rows if row.created_at <= now - LEAD), rows[-1] if rows else None)


def _newest(session: Session) -> ToolKey | None:
    query = select(ToolKey).where(ToolKey.retired_at.is_(None)).order_by(ToolKey.id.desc()).limit(1)
    return session.scalars(query).one_or_none()


def _lock(session: Session) -> None:
    # SQLite lets in one writer at a time; on PostgreSQL two processes that start at once would make two keys.
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(_LOCK)))


def _add(session: Session, vault: Vault, now: datetime) -> ToolKey:
    private = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    public_pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    # Its kid is the thumbprint of the key (RFC 7638), hence never used again for another key.
    jwk = dict(Registration.get_jwk(public_pem))
    row = ToolKey(kid=jwk["kid"], sealed_private_key=vault.seal(pem), public_jwk=jwk, created_at=now)
    session.add(row)
    session.flush()
    return row
