"""Reads bodies strictly: JSON that a database can keep, fields of the usual types, faults that name the field."""

import json
import re
from datetime import UTC, datetime
from hashlib import sha256
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from lti_tool.domain.events import Identifier, IdKind
from lti_tool.sources.kind import MalformedError

# Nobody means more of lists and objects in each other; more would break whoever shows or changes it.
DEEPEST = 64
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


class Part(BaseModel):
    """A part of a body; what it does not name is not kept."""

    model_config = ConfigDict(extra="ignore")


def _text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _no_truth(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("a number is expected")
    return value


def _none_if_empty(value: object) -> object:
    return None if value == "" else value


def _short(value: object) -> object:
    return value[:500] if isinstance(value, str) else ""


def _utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("the time is out of range") from None


# An id is a text, whatever JSON type it comes in.
Id = Annotated[str, BeforeValidator(_text), Field(min_length=1, max_length=255)]
OptionalId = Annotated[Id | None, BeforeValidator(_none_if_empty)]
ExternalId = Annotated[str, BeforeValidator(_text), Field(min_length=1, max_length=500)]
Title = Annotated[str, BeforeValidator(_short)]
Number = Annotated[float, BeforeValidator(_no_truth), Field(allow_inf_nan=False)]
Moment = Annotated[AwareDatetime, BeforeValidator(_no_truth), AfterValidator(_utc)]

AnyPart = TypeVar("AnyPart", bound=BaseModel)


def load(body: bytes) -> Any:
    """The JSON of a body; raises MalformedError, also for what PostgreSQL cannot keep as text, or is nested deeply."""
    try:
        found = json.loads(body.decode())
    except (ValueError, RecursionError):
        raise MalformedError("body: it is not JSON in UTF-8") from None
    if body.count(b"{") + body.count(b"[") > DEEPEST and _is_deep(found):
        raise MalformedError(f"body: it has more than {DEEPEST} lists and objects in each other")
    # Written out, neither of them is valid JSON; only an escape brings them in.
    if b"\\u" in body and any(_UNSTORABLE.search(text) for text in _texts(found)):
        raise MalformedError("body: it has a NUL character or half of a character pair in it")
    return found


def read(model: type[AnyPart], found: object) -> AnyPart:
    """A part of a body, checked; raises MalformedError naming the first wrong field."""
    try:
        return model.model_validate(found)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise MalformedError(f"{'.'.join(map(str, first['loc'])) or 'body'}: {first['msg']}") from None


def kept(part: BaseModel) -> bytes:
    """What is stored of a body: the members that are read, and nothing else."""
    return part.model_dump_json(by_alias=True, exclude_none=True).encode()


def digest(payload: bytes) -> str:
    """A delivery id for senders that give none: the same content is the same delivery."""
    return f"sha256:{sha256(payload).hexdigest()}"


def identifiers(*pairs: tuple[IdKind, str | None]) -> tuple[Identifier, ...]:
    """The ids that were told, in their order and each once."""
    return tuple(dict.fromkeys(Identifier(kind, value) for kind, value in pairs if value))


def _is_deep(found: object) -> bool:
    level, depth = [found], 0
    while level := [one for one in level if isinstance(one, dict | list)]:
        depth += 1
        if depth > DEEPEST:
            return True
        level = [inner for one in level for inner in (one.values() if isinstance(one, dict) else one)]
    return False


def _texts(found: object) -> list[str]:
    texts, rest = [], [found]
    while rest:
        match rest.pop():
            case str(text):
                texts.append(text)
            case list(items):
                rest.extend(items)
            case dict(members):
                rest.extend(members.keys())
                rest.extend(members.values())
    return texts
