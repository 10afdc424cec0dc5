"""The audit log: every administrative act, written in the transaction that carries it out."""

from datetime import datetime

from sqlalchemy.orm import Session

from lti_tool.models import AuditEntry
from lti_tool.toolbox import Toolbox

COMMAND_LINE = "command line"


def note(
    session: Session,
    actor: str,
    action: str,
    now: datetime,
    *,
    platform_id: int | None = None,
    deployment_id: int | None = None,
    detail: str = "",
) -> None:
    """Write down who did what, to which platform or to which deployment of it; `detail` never holds a secret."""
    entry = AuditEntry(at=now, actor=actor, action=action, detail=detail[:2000])
    entry.platform_id, entry.deployment_id = platform_id, deployment_id
    session.add(entry)


def record(
    tools: Toolbox, actor: str, action: str, now: datetime, *, platform_id: int | None = None, detail: str = ""
) -> None:
    """Write down an act that has transactions of its own."""
    with tools.database.write() as session:
        note(session, actor, action, now, platform_id=platform_id, detail=detail)
        session.commit()
