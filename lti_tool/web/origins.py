"""Who may show our pages in a frame, where forms may lead and pictures come from: the registered LMSs and Badgrs."""

import time

from sqlalchemy import select
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import selectinload

from lti_tool.db import Database
from lti_tool.logs import get_logger
from lti_tool.models import BadgrServer, Platform

log = get_logger(__name__)

CACHE_SECONDS = 5


class Origins:
    """Read from the database now and then."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._read_at = float("-inf")
        self.frames: list[str] = []
        self.forms: list[str] = []
        self.insecure_images: list[str] = []

    def refresh(self) -> None:
        """Read them again unless that was just done."""
        if time.monotonic() - self._read_at < CACHE_SECONDS:
            return
        try:
            with self._database.read() as session:
                query = select(Platform).where(Platform.enabled).options(selectinload(Platform.deployments))
                platforms = session.scalars(query).all()
                servers = session.scalars(select(BadgrServer)).all()
        except DatabaseError:
            # The page that says so must still come out: what was known before holds on.
            log.warning("origins_not_read")
            return
        self.frames = sorted({origin for platform in platforms for origin in platform.frame_origins})
        self.forms = sorted({server.ui_url for server in servers})
        # Pictures come over https from wherever Badgr keeps them; only a local Badgr is without it.
        self.insecure_images = sorted({s.api_url for s in servers if s.api_url.startswith("http://")})
        self._read_at = time.monotonic()
