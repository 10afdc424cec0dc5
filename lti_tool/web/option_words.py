"""The options of a rule in words: on its form, and what differs between two versions of it."""

from dataclasses import dataclass

from lti_tool.models import OnFall, Repeat
from lti_tool.services.drafts import Draft
from lti_tool.web.filters import moment

FALLS = {
    OnFall.KEEP: "The badge stays",
    OnFall.PROPOSE: "I am asked whether to revoke it",
    OnFall.REVOKE: "The badge is revoked",
}
REPEATS = {
    Repeat.ONCE: "Once, whatever the course",
    Repeat.PER_TERM: "Once in each course",
    Repeat.EACH_TIME: "Each time: again after the results have fallen and risen",
}


@dataclass(frozen=True)
class OptionChange:
    """An option that is not the same in two versions of a rule."""

    name: str
    before: str
    after: str


def option_changes(before: Draft, after: Draft) -> list[OptionChange]:
    """What differs beside the sentence."""
    former = _words(before)
    return [OptionChange(name, former[name], new) for name, new in _words(after).items() if new != former[name]]


def _words(said: Draft) -> dict[str, str]:
    return {
        "Results count from": moment(said.counts_from) if said.counts_from else "the beginning",
        "Results count until": moment(said.counts_until) if said.counts_until else "no last day",
        "Grades that count": "only final ones" if said.fully_graded else "those that may still change, too",
        "A teacher looks at each badge before it goes out": "yes" if said.needs_approval else "no",
        "When results fall": FALLS[said.on_fall],
        "How often one person can earn it": REPEATS[said.repeat],
    }
