"""what is left of an event when somebody in it was erased, and failures in a row"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("event") as table:
        table.add_column(sa.Column("is_rewritten", sa.Boolean(), nullable=False, server_default=sa.false()))
        table.add_column(
            sa.Column(
                "failures", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False, server_default="0"
            )
        )
    with op.batch_alter_table("event") as table:
        table.alter_column("is_rewritten", server_default=None)
        table.alter_column("failures", server_default=None)


def downgrade() -> None:
    with op.batch_alter_table("event") as table:
        table.drop_column("failures")
        table.drop_column("is_rewritten")
