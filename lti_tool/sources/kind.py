"""What every kind of webhook offers: verify a delivery, name it, read the grade events in it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from lti_tool.domain.events import GradeEvent
from lti_tool.errors import LtiBadgesError


class SignatureError(LtiBadgesError):
    """The delivery is not signed with a secret of this source, or it is too old."""

    status = 401
    title = "The signature is not right"


class MalformedError(LtiBadgesError):
    """The body cannot be understood; the advice names the field."""

    title = "The body is not right"


@dataclass(frozen=True)
class SourceKind:
    """One kind of webhook. `verify(headers, body, secrets)` raises SignatureError, `parse(body)` MalformedError."""

    label: str
    new_secret: Callable[[], str]
    verify: Callable[[Mapping[str, str], bytes, Sequence[str]], None]
    delivery_id: Callable[[Mapping[str, str], bytes], str]
    parse: Callable[[bytes], list[GradeEvent]]
