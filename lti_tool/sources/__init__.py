"""The kinds of webhook that the tool understands; to add one, write its module and list it here."""

from collections.abc import Mapping

from lti_tool.sources import notices, pull, standard
from lti_tool.sources.kind import SourceKind

KINDS: Mapping[str, SourceKind] = {"standard": standard.KIND, "pull": pull.KIND, "notices": notices.KIND}

__all__ = ["KINDS"]
