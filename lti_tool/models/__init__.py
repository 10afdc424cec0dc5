"""The tables, and the rules that one row can check; importing this package registers them all."""

from lti_tool.models.admin import AdminAccount, AdminVisit, AuditEntry, RegistrationLink
from lti_tool.models.award import (
    Award,
    AwardRun,
    AwardStatus,
    AwardStep,
    HoldReason,
    RevokedBy,
    RunCause,
    RunStatus,
)
from lti_tool.models.backpack import Backpack, BadgeHost, LearnerVisit
from lti_tool.models.badge import BadgeClass, BadgrServer, Connection, TokenWait
from lti_tool.models.course import Course, CourseAlias, Enrolment, Person, PersonAlias, PullMark, ResourceLink, Visit
from lti_tool.models.event import Event, EventStatus, MissingId, Source, SourceHour
from lti_tool.models.heartbeat import Heartbeat
from lti_tool.models.platform import Deployment, OneTimeToken, Platform, PlatformToken, ToolKey
from lti_tool.models.result import Activity, Result
from lti_tool.models.rule import ExceptionKind, OnFall, Repeat, Rule, RuleException, RuleStatus, RuleVersion

__all__ = [
    "Activity",
    "AdminAccount",
    "AdminVisit",
    "AuditEntry",
    "Award",
    "AwardRun",
    "AwardStatus",
    "AwardStep",
    "Backpack",
    "BadgeClass",
    "BadgeHost",
    "BadgrServer",
    "Connection",
    "Course",
    "CourseAlias",
    "Deployment",
    "Enrolment",
    "Event",
    "EventStatus",
    "ExceptionKind",
    "Heartbeat",
    "HoldReason",
    "LearnerVisit",
    "MissingId",
    "OnFall",
    "OneTimeToken",
    "Person",
    "PersonAlias",
    "Platform",
    "PlatformToken",
    "PullMark",
    "RegistrationLink",
    "Repeat",
    "ResourceLink",
    "Result",
    "RevokedBy",
    "Rule",
    "RuleException",
    "RuleStatus",
    "RuleVersion",
    "RunCause",
    "RunStatus",
    "Source",
    "SourceHour",
    "TokenWait",
    "ToolKey",
    "Visit",
]
