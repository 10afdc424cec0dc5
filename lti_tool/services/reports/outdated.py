"""Awards that wait for a teacher, held against what their rules ask by now: a rule may have been changed since."""

from collections.abc import Collection, Sequence

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from lti_tool.models import Award, Rule, RuleVersion
from lti_tool.services import facts, standings
from lti_tool.services.evaluation import ALIVE
from lti_tool.services.reports.preview import detail_of


def outdated(session: Session, waiting: Select[Award]) -> set[int]:
    """Of awards that wait, those that their rules as they are now would not bring.

    Only where a rule asks for something else by now: what fell by the same one is marked with the award. A few queries
    for each such rule, however many awards there are.
    """
    columns = (Award.id, Award.person_id, Award.rule_id, Award.rule_version_id)
    query = waiting.where(~Award.by_hand, Award.status.in_(ALIVE)).order_by(None).with_only_columns(*columns)
    rows = session.execute(query).all()
    rules = {r.id: r for r in session.scalars(select(Rule).where(Rule.id.in_({row.rule_id for row in rows})))}
    named = select(RuleVersion).where(RuleVersion.id.in_({row.rule_version_id for row in rows}))
    asks = {version.id: version.ask for version in session.scalars(named)}
    old = [row for row in rows if asks[row.rule_version_id] != rules[row.rule_id].ask]
    found: set[int] = set()
    for rule in rules.values():
        own = {row.id: row.person_id for row in old if row.rule_id == rule.id}
        if own:
            earners = standings.earners(session, standings.subject_of(rule), sorted(set(own.values())))
            found |= {award_id for award_id, person_id in own.items() if person_id not in earners}
    return found


def whats_missing(
    session: Session, course_id: int, awards: Sequence[Award], outdated_ids: Collection[int]
) -> dict[int, str]:
    """What their rules ask for by now and is not there, for those awards of a page that are outdated; by their ids."""
    meant = [award for award in awards if award.id in outdated_ids]
    if not meant:
        return {}
    rules = list({award.rule_id: award.rule for award in meant}.values())
    book = facts.read_facts(session, course_id, rules, sorted({award.person_id for award in meant}))
    return {a.id: detail_of(book.decide(a.rule, a.person_id), book.titles) for a in meant}
