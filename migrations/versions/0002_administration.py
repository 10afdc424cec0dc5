"""administrators, registration links, audit, gradebook columns, copied courses"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "admin_account",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("password_hash", sa.String(length=300), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("failures", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("wait_until", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_admin_account")),
        sa.UniqueConstraint("name", name=op.f("uq_admin_account_name")),
    )
    op.create_table(
        "audit_entry",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(length=300), nullable=False),
        sa.Column("action", sa.String(length=60), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("platform_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.ForeignKeyConstraint(["platform_id"], ["platform.id"], name=op.f("fk_audit_entry_platform_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_entry")),
    )
    with op.batch_alter_table("audit_entry", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_audit_entry_platform_id"), ["platform_id"], unique=False)

    op.create_table(
        "registration_link",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("note", sa.String(length=200), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("platform_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.ForeignKeyConstraint(["platform_id"], ["platform.id"], name=op.f("fk_registration_link_platform_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_registration_link")),
        sa.UniqueConstraint("digest", name=op.f("uq_registration_link_digest")),
    )
    op.create_table(
        "admin_visit",
        sa.Column("session_digest", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("person_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("deployment_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["admin_account.id"], name=op.f("fk_admin_visit_account_id")),
        sa.ForeignKeyConstraint(["deployment_id"], ["deployment.id"], name=op.f("fk_admin_visit_deployment_id")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_admin_visit_person_id")),
        sa.PrimaryKeyConstraint("session_digest", name=op.f("pk_admin_visit")),
    )
    with op.batch_alter_table("admin_visit", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_admin_visit_expires_at"), ["expires_at"], unique=False)

    with op.batch_alter_table("award", schema=None) as batch_op:
        batch_op.add_column(sa.Column("score_sent_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("score_due_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("score_advice", sa.String(length=1000), nullable=True))
        batch_op.create_index(batch_op.f("ix_award_score_due_at"), ["score_due_at"], unique=False)

    with op.batch_alter_table("course", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column(
                "context_history",
                sa.JSON().with_variant(postgresql.JSONB(), "postgresql"),
                nullable=False,
                server_default="[]",
            )
        )

    with op.batch_alter_table("deployment", schema=None) as batch_op:
        batch_op.add_column(sa.Column("host", sa.String(length=255), nullable=True))
        batch_op.add_column(sa.Column("foreign_host", sa.String(length=255), nullable=True))

    with op.batch_alter_table("platform", schema=None) as batch_op:
        batch_op.add_column(sa.Column("family", sa.String(length=100), nullable=False, server_default=""))

    with op.batch_alter_table("rule", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("copied_from_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True)
        )
        batch_op.add_column(sa.Column("has_column", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch_op.add_column(sa.Column("line_item_url", sa.String(length=2000), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("rule", schema=None) as batch_op:
        batch_op.drop_column("line_item_url")
        batch_op.drop_column("has_column")
        batch_op.drop_column("copied_from_id")

    with op.batch_alter_table("platform", schema=None) as batch_op:
        batch_op.drop_column("family")

    with op.batch_alter_table("deployment", schema=None) as batch_op:
        batch_op.drop_column("foreign_host")
        batch_op.drop_column("host")

    with op.batch_alter_table("course", schema=None) as batch_op:
        batch_op.drop_column("context_history")

    with op.batch_alter_table("award", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_award_score_due_at"))
        batch_op.drop_column("score_advice")
        batch_op.drop_column("score_due_at")
        batch_op.drop_column("score_sent_at")

    with op.batch_alter_table("admin_visit", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_admin_visit_expires_at"))

    op.drop_table("admin_visit")
    op.drop_table("registration_link")
    with op.batch_alter_table("audit_entry", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_audit_entry_platform_id"))

    op.drop_table("audit_entry")
    op.drop_table("admin_account")
