"""Alembic environment: runs migrations on the connection that the command hands over."""

from alembic import context

from lti_tool import models  # noqa: F401  (registers the tables)
from lti_tool.db import Base, UtcDateTime


def render_item(kind: str, item: object, _context: object) -> str | bool:
    """Write our own column types as plain ones: an old migration must not depend on today's code."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, UtcDateTime) else False


def run() -> None:
    """Run the migrations on the given connection, in one transaction where the database can."""
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=Base.metadata,
        render_as_batch=True,
        compare_type=True,
        render_item=render_item,
    )
    with context.begin_transaction():
        context.run_migrations()


run()
