"""Our own webhook: Standard Webhooks headers (standardwebhooks.com); the data is an AGS score and whose it is."""

import base64
import json
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator
from standardwebhooks import Webhook, WebhookVerificationError

from lti_tool.domain.events import (
    ActivityProgress,
    ActivityRef,
    GradeEvent,
    GradeFact,
    GradingProgress,
    Identifier,
    IdKind,
    ProgressFact,
)
from lti_tool.sources.kind import Access, Delivery, MalformedError, SignatureError, SourceKind
from lti_tool.sources.reading import Id, Moment, Part, kept, load, read

MAXIMUM_BATCH = 1000

Points = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]


class _Score(Part):
    """An AGS 2.0 score (§3.4), with its required members; what else is in it (comments, who graded) is not kept."""

    user_id: Id = Field(alias="userId")
    timestamp: Moment
    given: Points | None = Field(default=None, alias="scoreGiven")
    maximum: Annotated[Points, Field(gt=0)] | None = Field(default=None, alias="scoreMaximum")
    activity_progress: ActivityProgress = Field(alias="activityProgress")
    grading_progress: GradingProgress = Field(alias="gradingProgress")

    @model_validator(mode="after")
    def _maximum_with_given(self) -> "_Score":
        if self.given is not None and self.maximum is None:
            raise ValueError("scoreMaximum is required with scoreGiven")
        return self


class _Identified(Part):
    id: Id


class _Activity(Part):
    id: Annotated[str, Field(min_length=1, max_length=500)]
    title: Annotated[str, Field(min_length=1, max_length=500)]
    kind: Annotated[str, Field(max_length=20)] = Field(default="activity", alias="type")


class _Data(Part):
    deployment_id: Id | None = None
    course: _Identified
    person: _Identified | None = Field(default=None, description="Must be the same as score.userId.")
    activity: _Activity
    score: _Score
    released: Annotated[bool, Field(strict=True)] = True

    @model_validator(mode="after")
    def _one_person(self) -> "_Data":
        if self.person is not None and self.person.id != self.score.user_id:
            raise ValueError("person.id and score.userId name two different people")
        return self

    def event(self) -> GradeEvent:
        score = self.score
        return GradeEvent(
            deployment_id=self.deployment_id,
            course=(Identifier(IdKind.LTI, self.course.id),),
            person=(Identifier(IdKind.LTI, score.user_id),),
            activity=ActivityRef(self.activity.id, self.activity.title, self.activity.kind),
            grade=GradeFact(score.timestamp, score.given, score.maximum, score.grading_progress, self.released),
            progress=ProgressFact(score.timestamp, score.activity_progress, self.released),
        )


class _Delivery(Part):
    type: Literal["grade.updated"]
    data: Annotated[
        list[_Data],
        BeforeValidator(lambda data: data if isinstance(data, list) else [data]),
        Field(min_length=1, max_length=MAXIMUM_BATCH),
    ]


def verify(delivery: Delivery, access: Access) -> bytes:
    """Check the signature and the age (five minutes) of a delivery against every secret, and keep what is read.

    Raises SignatureError and MalformedError.
    """
    fault = "There is no secret for this source"
    for secret in filter(None, access.secrets):
        try:
            Webhook(secret).verify(delivery.body, dict(delivery.headers), json_parse=False)
            return kept(read(_Delivery, load(delivery.body)))
        except WebhookVerificationError as error:
            fault = str(error)
        except ValueError:
            # The library lets the faults of its decoders through: a body that is no text, no base64.
            fault = "The signature headers or the body cannot be read"
    raise SignatureError(
        f"{fault}. Sign “webhook-id.webhook-timestamp.body” with this source's secret, as Standard Webhooks says, "
        "and send it within five minutes."
    )


def parse(body: bytes) -> list[GradeEvent]:
    """The grade events of a delivery, one or a batch; raises MalformedError naming the first wrong field."""
    return [item.event() for item in read(_Delivery, load(body)).data]


def _delivery_id(delivery: Delivery, payload: bytes) -> str:
    found = delivery.headers.get("webhook-id", "")
    if not (0 < len(found) <= 255 and found.isprintable()):
        raise MalformedError("webhook-id: the header must have 1 to 255 printable characters")
    return found


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def _example(secret: str, options: Mapping[str, str], now: datetime) -> Delivery:
    message_id = f"test-{secrets.token_hex(8)}"
    score = {
        "userId": "test-person",
        "timestamp": now.isoformat(),
        "scoreGiven": 1,
        "scoreMaximum": 1,
        "activityProgress": "Completed",
        "gradingProgress": "FullyGraded",
    }
    data = {"course": {"id": "test-course"}, "activity": {"id": "test", "title": "Test event"}, "score": score}
    body = json.dumps({"type": "grade.updated", "timestamp": now.isoformat(), "data": data})
    headers = {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(secret).sign(message_id, now, body),
    }
    return Delivery(headers, {}, body.encode())


KIND = SourceKind("Signed webhook (Standard Webhooks)", _new_secret, verify, _delivery_id, parse, example=_example)


def schema(ref_template: str) -> dict[str, Any]:
    """The JSON schema of a body, for the description of the webhook (OpenAPI 3.1); its definitions are in `$defs`.

    What a validator says is written out: data is one or a list.
    """
    whole = _Delivery.model_json_schema(ref_template=ref_template)
    one = whole["properties"]["data"]
    whole["properties"]["data"] = {"oneOf": [one["items"], one]}
    return whole
