"""What a reader of results gives back: the results that an LMS has at present, and what it could not read."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from lti_tool.domain.events import GradeEvent
from lti_tool.lti.errors import LtiServiceError


@dataclass(frozen=True)
class Reading:
    """Results as the LMS has them now; `marks` are the versions that were read, by the digest of their address.

    `silent` are the activities (by their ids in the LMS) of whose grades it does not say whether they are released.
    With a `fault` it is not everything: the rest is to be read another time.
    """

    events: tuple[GradeEvent, ...] = ()
    marks: Mapping[str, str] = field(default_factory=dict)
    silent: frozenset[str] = frozenset()
    fault: LtiServiceError | None = None

    @property
    def has_failed(self) -> bool:
        """Whether nothing at all could be read."""
        return self.fault is not None and not self.events and not self.marks
