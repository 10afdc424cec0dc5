"""Addresses in a `Link` header, as platforms really write it."""

import re
from urllib.parse import urljoin

_LINK = re.compile(r"<([^>]*)>([^<]*)")
_REL = re.compile(r";\s*rel\s*=([^;,]*)", re.IGNORECASE)


def linked(header: str, relation: str, url: str) -> str | None:
    """The address with `rel=<relation>`, relative ones resolved against `url`; None when there is none (RFC 8288).

    Moodle's grade service writes curly quotes and `&amp;` (gradebookservices, lineitems.php). The address is
    otherwise taken letter by letter, since cursors may tell capitals from small letters.
    """
    for target, parameters in _LINK.findall(header):
        rel = _REL.search(parameters)
        if rel and relation in re.findall(r"[a-z]+", rel[1].lower()):
            return urljoin(url, str(target).strip().replace("&amp;", "&"))
    return None
