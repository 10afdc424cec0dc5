"""The tables, and the rules that one row can check; importing this package registers them all."""

from lti_tool.models.admin import AdminAccount, AdminVisit, AuditEntry, RegistrationLink
from lti_tool.models.award import Award, AwardStatus, AwardStep, HoldReason
from lti_tool.models.backpack import Backpack, BadgeHost, LearnerVisit
from lti_tool.models.badge import BadgeClass, BadgrServer, Connection
from lti_tool.models.course import Course, Enrolment, Person, ResourceLink, Visit
from lti_tool.models.event import Event, EventStatus, Source
from lti_tool.models.heartbeat import Heartbeat
from lti_tool.models.platform import Deployment, OneTimeToken, Platform, PlatformToken, ToolKey
from lti_tool.models.result import Activity, Result
from lti_tool.models.rule import Rule, RuleStatus

__all__ = [
    "Activity",
    "AdminAccount",
    "AdminVisit",
    "AuditEntry",
    "Award",
    "AwardStatus",
    "AwardStep",
    "Backpack",
    "BadgeClass",
    "BadgeHost",
    "BadgrServer",
    "Connection",
    "Course",
    "Deployment",
    "Enrolment",
    "Event",
    "EventStatus",
    "Heartbeat",
    "HoldReason",
    "LearnerVisit",
    "OneTimeToken",
    "Person",
    "Platform",
    "PlatformToken",
    "RegistrationLink",
    "ResourceLink",
    "Result",
    "Rule",
    "RuleStatus",
    "Source",
    "ToolKey",
    "Visit",
]
