"""events: what is left when somebody is erased, failures in a row; exceptions: the run that they came with"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    with op.batch_alter_table("event") as table:
        table.add_column(sa.Column("is_rewritten", sa.Boolean(), nullable=False, server_default=sa.false()))
        table.add_column(sa.Column("failures", BIG, nullable=False, server_default="0"))
    with op.batch_alter_table("event") as table:
        table.alter_column("is_rewritten", server_default=None)
        table.alter_column("failures", server_default=None)
    with op.batch_alter_table("rule_exception") as table:
        table.add_column(sa.Column("run_id", BIG, nullable=True))
        table.create_foreign_key("fk_rule_exception_run_id", "award_run", ["run_id"], ["id"])
        table.create_index("ix_rule_exception_run_id", ["run_id"])


def downgrade() -> None:
    with op.batch_alter_table("rule_exception") as table:
        table.drop_index("ix_rule_exception_run_id")
        table.drop_constraint("fk_rule_exception_run_id", type_="foreignkey")
        table.drop_column("run_id")
    with op.batch_alter_table("event") as table:
        table.drop_column("failures")
        table.drop_column("is_rewritten")
