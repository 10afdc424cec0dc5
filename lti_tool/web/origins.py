"""Who may show our pages in a frame, where forms may lead and pictures come from: the registered LMSs and Badgrs."""

import time
from urllib.parse import urlsplit

from sqlalchemy import select
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import selectinload

from lti_tool.db import Database
from lti_tool.logs import get_logger
from lti_tool.lti.addresses import origin_text
from lti_tool.models import BadgrServer, Platform
from lti_tool.models.platform import CANVAS_ISSUERS

log = get_logger(__name__)

CACHE_SECONDS = 5
# Every institution on Canvas has the same issuer but pages of its own host.
CANVAS_FRAMES = "https://*.instructure.com"


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
        self.frames = sorted({origin for platform in platforms for origin in frames_of(platform)})
        self.forms = sorted({server.ui_url for server in servers})
        # Pictures come over https from wherever Badgr keeps them; only a local Badgr is without it.
        self.insecure_images = sorted({s.api_url for s in servers if s.api_url.startswith("http://")})
        self._read_at = time.monotonic()


def frames_of(platform: Platform) -> set[str]:
    """Whose pages may show the tool in a frame for this LMS; what is no plain host is left out."""
    # Blackboard's and Schoology's issuers, too, are no addresses of an institution: its host is told by launches.
    scheme = urlsplit(platform.issuer).scheme
    hosts = [f"{scheme}://{d.host}" for d in platform.deployments if d.approved and d.host]
    origins = {
        origin_text(url) for url in (platform.issuer, platform.auth_login_url, *hosts, *platform.frame_origins)
    } - {""}
    return origins | ({CANVAS_FRAMES} if platform.issuer in CANVAS_ISSUERS else set())
