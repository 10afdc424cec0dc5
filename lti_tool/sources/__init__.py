"""The kinds of webhook that the tool understands; to add one, write its module and list it here."""

from collections.abc import Mapping

from lti_tool.sources import caliper, canvas, moodle, notices, openedx, pull, standard, xapi
from lti_tool.sources.kind import SourceKind

KINDS: Mapping[str, SourceKind] = {
    "standard": standard.KIND,
    "canvas": canvas.KIND,
    "caliper": caliper.KIND,
    "xapi": xapi.KIND,
    "moodle": moodle.KIND,
    "openedx": openedx.KIND,
    "notices": notices.KIND,
    "pull": pull.KIND,
}

__all__ = ["KINDS"]
