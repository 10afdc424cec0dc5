"""Administrators: local accounts that see everything, and those of an LMS, who see their own installation."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import BoundedSemaphore

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from sqlalchemy import delete, select
from sqlalchemy.orm import Session, joinedload

from lti_tool.db import get_or_create
from lti_tool.errors import InvalidInputError
from lti_tool.logs import get_logger
from lti_tool.models import AdminAccount, AdminVisit, Deployment, Person
from lti_tool.services import audit
from lti_tool.toolbox import Toolbox

log = get_logger(__name__)

MINIMUM_PASSWORD = 12
SESSION = timedelta(hours=8)
FREE_FAILURES = 4
LONGEST_WAIT = timedelta(minutes=15)
# One text for everything, which does not tell who has an account.
WRONG = (
    "The name or the password is not right; or there were too many wrong ones, then wait a quarter of an hour at most."
)

_hasher = PasswordHasher()
_checking = BoundedSemaphore(2)
# Checked when there is no such account, so that the time of the answer does not tell who has one.
_NOBODY = _hasher.hash("nobody has this password")


@dataclass(frozen=True)
class Admin:
    """Who administers in this browser; `deployment_id` and `platform_id` are None for a local account: all of them."""

    name: str
    platform_id: int | None
    deployment_id: int | None

    @property
    def is_local(self) -> bool:
        """Whether this is a local account, which may change everything."""
        return self.deployment_id is None


def create_account(tools: Toolbox, name: str, password: str, actor: str, now: datetime) -> bool:
    """Make a local account, or give an existing one a new password; whether it is new. Raises InvalidInputError."""
    name = _name(name)
    if len(password) < MINIMUM_PASSWORD:
        raise InvalidInputError(f"password: must have at least {MINIMUM_PASSWORD} characters.")
    with tools.database.write() as session:
        is_new = session.scalar(select(AdminAccount.id).where(AdminAccount.name == name)) is None
        account = get_or_create(session, AdminAccount, {"name": name}, password_hash="", failures=0, created_at=now)
        account.password_hash = _hasher.hash(password)
        account.failures, account.wait_until = 0, None
        # Whoever knew the former password is signed out.
        session.execute(delete(AdminVisit).where(AdminVisit.account_id == account.id))
        audit.note(session, actor, "account created" if is_new else "password changed", now, detail=name)
        session.commit()
    return is_new


def sign_in(tools: Toolbox, name: str, password: str, session_digest: str, now: datetime) -> None:
    """Let the holder of the browser session administer; raises InvalidInputError, and makes guessers wait."""
    name = name.strip().lower()
    with tools.database.read() as session:
        known = session.scalar(select(AdminAccount).where(AdminAccount.name == name))
    # Outside any transaction, and not many at once: this takes long on purpose, and nobody else shall wait for it.
    with _checking:
        is_right = _fits(known, password)
    with tools.database.write() as session:
        account = session.scalar(select(AdminAccount).where(AdminAccount.name == name).with_for_update())
        if account is not None and account.wait_until is not None and account.wait_until > now:
            log.warning("admin_sign_in_waits", account=account.name)
            raise InvalidInputError(WRONG)
        # Of a password that was changed meanwhile nothing is known.
        if not is_right or account is None or known is None or account.password_hash != known.password_hash:
            if account is not None:
                _count_failure(session, account, now)
                session.commit()
            log.warning("admin_sign_in_failed")
            raise InvalidInputError(WRONG)
        account.failures, account.wait_until = 0, None
        session.execute(delete(AdminVisit).where(AdminVisit.session_digest == session_digest))
        session.add(AdminVisit(session_digest=session_digest, account_id=account.id, expires_at=now + SESSION))
        audit.note(session, account.name, "signed in", now)
        session.commit()


def sign_out(tools: Toolbox, session_digest: str) -> None:
    """End the administration in this browser."""
    with tools.database.write() as session:
        session.execute(delete(AdminVisit).where(AdminVisit.session_digest == session_digest))
        session.commit()


def find(tools: Toolbox, session_digest: str, now: datetime) -> Admin | None:
    """Who administers in this browser session; None for nobody."""
    with tools.database.read() as session:
        visit = session.scalar(
            select(AdminVisit)
            .where(AdminVisit.session_digest == session_digest, AdminVisit.expires_at > now)
            .options(
                joinedload(AdminVisit.account),
                joinedload(AdminVisit.person),
                joinedload(AdminVisit.deployment).joinedload(Deployment.platform),
            )
        )
    if visit is None:
        return None
    if visit.account is not None:
        return Admin(visit.account.name, None, None)
    if visit.deployment is None or visit.person is None:
        return None
    if not (visit.deployment.approved and visit.deployment.platform.enabled):
        # Who may not launch any more is out at once.
        return None
    return Admin(visit.person.display_name, visit.deployment.platform_id, visit.deployment_id)


def enter_from_lms(
    session: Session, person: Person, deployment: Deployment, session_digest: str, now: datetime, *, is_admin: bool
) -> None:
    """Let an administrator of an LMS see its own installation, and end what anybody else in this browser could see."""
    visit = session.get(AdminVisit, session_digest)
    if visit is not None and visit.account_id is not None:
        # A local administrator who tries the tool from the LMS stays one.
        return
    if visit is not None:
        session.delete(visit)
        session.flush()
    if is_admin:
        session.add(
            AdminVisit(
                session_digest=session_digest,
                person_id=person.id,
                deployment_id=deployment.id,
                expires_at=now + SESSION,
            )
        )


def hand_over(session: Session, from_digest: str, to_digest: str) -> bool:
    """Give what an administrator of an LMS may see to another browser session; whether there was anything to give."""
    given, former = session.get(AdminVisit, from_digest), session.get(AdminVisit, to_digest)
    if former is not None and former.account_id is None:
        session.delete(former)
        session.flush()
    if given is None:
        return False
    if former is None or former.account_id is None:
        session.add(
            AdminVisit(
                session_digest=to_digest,
                person_id=given.person_id,
                deployment_id=given.deployment_id,
                expires_at=given.expires_at,
            )
        )
    session.delete(given)
    return True


def _name(name: str) -> str:
    name = name.strip().lower()
    if not name or len(name) > 100:
        raise InvalidInputError("name: must have 1 to 100 characters.")
    return name


def _fits(account: AdminAccount | None, password: str) -> bool:
    try:
        _hasher.verify(account.password_hash if account else _NOBODY, password[:1000])
    except VerificationError:
        return False
    return account is not None


def _count_failure(session: Session, account: AdminAccount, now: datetime) -> None:
    account.failures += 1
    if account.failures > FREE_FAILURES:
        wait = timedelta(seconds=2.0 ** min(account.failures - FREE_FAILURES + 2, 12))
        account.wait_until = now + min(wait, LONGEST_WAIT)
        audit.note(session, account.name, "sign-in failed", now, detail=f"{account.failures} times in a row")
