"""What no honest browser sends is refused before anything looks at it: the database could only fail on it."""

from typing import Any

from flask import Flask, request
from werkzeug.routing import IntegerConverter, Map

from lti_tool.errors import InvalidInputError

# Ids of rows are 64 bits in both databases.
LARGEST_ID = 2**63 - 1
UNSTORABLE = "\x00"


class RowIdConverter(IntegerConverter):
    """The id of a row in an address; a number that no row can have leads nowhere (404)."""

    def __init__(self, url_map: Map, **options: Any) -> None:
        super().__init__(url_map, max=LARGEST_ID, **options)


def row_id(text: str) -> int:
    """The id of a row that a form names; raises ValueError for whatever can be none."""
    number = int(text)
    if not 0 < number <= LARGEST_ID:
        raise ValueError(text)
    return number


def register(app: Flask) -> None:
    """Look at every request, and at every id in an address; to be called before there are any routes."""
    app.url_map.converters["int"] = RowIdConverter
    app.before_request(_refuse_unstorable)


def _refuse_unstorable() -> None:
    told = [*(request.view_args or {}).values(), *_texts(request.args)]
    if request.blueprint != "webhooks":
        # The bodies of webhooks are signed as they are, hence read as they are, whatever they call themselves.
        told += _texts(request.form)
    if any(isinstance(text, str) and UNSTORABLE in text for text in told):
        raise InvalidInputError("A field has a character that cannot be kept (NUL). Enter it again without.")


def _texts(fields: Any) -> list[str]:
    return [text for name, value in fields.items(multi=True) for text in (name, value)]
