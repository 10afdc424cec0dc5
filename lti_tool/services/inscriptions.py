"""What a rule writes on its assertions: a few words and the evidence; and whether Badgr mails the learners."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from lti_tool.errors import InvalidInputError
from lti_tool.services import narratives, rules
from lti_tool.toolbox import Toolbox

LONGEST_ADDRESS = 2000


@dataclass(frozen=True)
class Inscription:
    """What is written on the assertions of a rule, and whether Badgr mails the learners."""

    narrative: str
    evidence_url: str
    notify: bool


def save(tools: Toolbox, course_id: int, rule_id: int, told: Inscription) -> None:
    """Keep it for what is awarded from now on; raises InvalidInputError naming what is wrong."""
    url = told.evidence_url.strip()
    parts = urlsplit(url)
    if url and (parts.scheme not in ("http", "https") or not parts.hostname or len(url) > LONGEST_ADDRESS):
        raise InvalidInputError("evidence: must be a whole address, such as https://school.example.org/, or nothing.")
    narrative = narratives.check(told.narrative)
    with tools.database.write() as session:
        rule = rules.find(session, course_id, rule_id)
        rule.narrative, rule.evidence_url, rule.notify = narrative, url or None, told.notify
        session.commit()
