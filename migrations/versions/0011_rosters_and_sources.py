"""courses: when a roster that could not be read is asked for again; sources: when they were last heard"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    with op.batch_alter_table("course") as table:
        table.add_column(sa.Column("roster_due_at", sa.DateTime(timezone=True), nullable=True))
        table.add_column(sa.Column("roster_failures", BIG, nullable=False, server_default="0"))
    with op.batch_alter_table("course") as table:
        table.alter_column("roster_failures", server_default=None)
    with op.batch_alter_table("source") as table:
        table.add_column(sa.Column("last_heard_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("source") as table:
        table.drop_column("last_heard_at")
    with op.batch_alter_table("course") as table:
        table.drop_column("roster_failures")
        table.drop_column("roster_due_at")
