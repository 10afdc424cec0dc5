"""events: what is left when somebody is erased, failures in a row; exceptions: the run that they came with"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
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
    with op.batch_alter_table("platform") as table:
        table.add_column(sa.Column("has_parameters", sa.Boolean(), nullable=False, server_default=sa.false()))
    with op.batch_alter_table("platform") as table:
        table.alter_column("has_parameters", server_default=None)
    with op.batch_alter_table("award") as table:
        table.add_column(sa.Column("tried_addresses", JSON, nullable=False, server_default="[]"))
    with op.batch_alter_table("award") as table:
        table.alter_column("tried_addresses", server_default=None)
    with op.batch_alter_table("audit_entry") as table:
        table.add_column(sa.Column("deployment_id", BIG, nullable=True))
        table.create_foreign_key("fk_audit_entry_deployment_id", "deployment", ["deployment_id"], ["id"])


def downgrade() -> None:
    with op.batch_alter_table("audit_entry") as table:
        table.drop_constraint("fk_audit_entry_deployment_id", type_="foreignkey")
        table.drop_column("deployment_id")
    with op.batch_alter_table("award") as table:
        table.drop_column("tried_addresses")
    with op.batch_alter_table("platform") as table:
        table.drop_column("has_parameters")
    with op.batch_alter_table("rule_exception") as table:
        table.drop_index("ix_rule_exception_run_id")
        table.drop_constraint("fk_rule_exception_run_id", type_="foreignkey")
        table.drop_column("run_id")
    with op.batch_alter_table("event") as table:
        table.drop_column("failures")
        table.drop_column("is_rewritten")
