"""Platforms, their deployments and tokens, the tool's own key pairs, and values that may be used once."""

import re
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from lti_tool.db import Base

CANVAS_ISSUERS = (
    "https://canvas.instructure.com",
    "https://canvas.beta.instructure.com",
    "https://canvas.test.instructure.com",
)
# Institutions share these issuers, and may have several hosts each.
SHARED_ISSUERS = (*CANVAS_ISSUERS, "https://blackboard.com", "https://schoology.schoology.com")
TEST_SYSTEMS = frozenset(("beta", "dev", "preprod", "qa", "sandbox", "stage", "staging", "test", "uat"))


class Platform(Base):
    """One registration of the tool in an LMS: an issuer with one client id (LTI security framework §3.1.3)."""

    __tablename__ = "platform"
    __table_args__ = (UniqueConstraint("issuer", "client_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    issuer: Mapped[str] = mapped_column(String(500))
    client_id: Mapped[str] = mapped_column(String(255))
    auth_login_url: Mapped[str] = mapped_column(String(1000))
    auth_token_url: Mapped[str] = mapped_column(String(1000))
    # D2L gives an audience that differs from the token address.
    auth_audience: Mapped[str | None] = mapped_column(String(1000))
    jwks_url: Mapped[str] = mapped_column(String(1000))
    jwks: Mapped[dict[str, Any] | None]
    jwks_fetched_at: Mapped[datetime | None]
    # product_family_code of the LMS (moodle, canvas, …), as it says at registration or in launches.
    family: Mapped[str] = mapped_column(String(100), default="")
    enabled: Mapped[bool] = mapped_column(default=True)
    # Whether the tool's own parameters were a part of the registration: teachers cannot write these themselves then.
    has_parameters: Mapped[bool] = mapped_column(default=False)
    # Pages around the LMS's own that may show the tool, too; as whole origins, and only an administrator says so.
    frame_origins: Mapped[list[str]] = mapped_column(default=list)
    created_at: Mapped[datetime]

    deployments: Mapped[list["Deployment"]] = relationship(back_populates="platform")

    @property
    def is_canvas(self) -> bool:
        """Whether it is a Canvas, the hosted one or somebody's own."""
        return self.issuer in CANVAS_ISSUERS or self.family.lower() == "canvas"


class Deployment(Base):
    """One installation of the tool on a platform; only approved ones may launch."""

    __tablename__ = "deployment"
    __table_args__ = (UniqueConstraint("platform_id", "deployment_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    platform_id: Mapped[int] = mapped_column(ForeignKey("platform.id"))
    deployment_id: Mapped[str] = mapped_column(String(255))
    approved: Mapped[bool] = mapped_column(default=True)
    # The host of the LMS's own pages and services, as launches say it; another one is a copy until somebody says so.
    host: Mapped[str | None] = mapped_column(String(255))
    foreign_host: Mapped[str | None] = mapped_column(String(255))
    created_at: Mapped[datetime]

    platform: Mapped[Platform] = relationship(back_populates="deployments")

    def recognises(self, host: str) -> bool:
        """Whether a launch from this host is one of the LMS that we know, as far as hosts can tell."""
        if not host or self.host is None or host == self.host:
            return True
        if self.platform.issuer in SHARED_ISSUERS:
            return _environment(host) == _environment(self.host)
        return False


class PlatformToken(Base):
    """A cached access token of a platform's services for one set of scopes."""

    __tablename__ = "platform_token"
    __table_args__ = (UniqueConstraint("platform_id", "scopes"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    platform_id: Mapped[int] = mapped_column(ForeignKey("platform.id"))
    scopes: Mapped[str] = mapped_column(String(1000))
    sealed_token: Mapped[str] = mapped_column(Text)
    expires_at: Mapped[datetime]


class ToolKey(Base):
    """A key pair of the tool; the newest that is not retired signs, all are published until removed."""

    __tablename__ = "tool_key"

    id: Mapped[int] = mapped_column(primary_key=True)
    kid: Mapped[str] = mapped_column(String(64), unique=True)
    sealed_private_key: Mapped[str] = mapped_column(Text)
    public_jwk: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    retired_at: Mapped[datetime | None]


class OneTimeToken(Base):
    """A value that can be taken once and not again until it ends: nonces, and who renews a learner's tokens now."""

    __tablename__ = "one_time_token"
    __table_args__ = (Index(None, "expires_at"),)

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    expires_at: Mapped[datetime]


def _environment(host: str) -> frozenset[str]:
    # school.beta.instructure.com, school-staging.blackboard.com: test systems are told apart by their names.
    return frozenset(word.rstrip("0123456789") for word in re.split(r"[.:-]", host)) & TEST_SYSTEMS
