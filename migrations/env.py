"""Alembic environment: runs migrations on the connection that the command hands over."""

from alembic import context

from lti_tool import models  # noqa: F401  (registers the tables)
from lti_tool.db import Base


def run() -> None:
    """Run the migrations on the given connection, in one transaction where the database can."""
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=Base.metadata,
        render_as_batch=True,
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()


run()
