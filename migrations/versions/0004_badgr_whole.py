"""institutions' connections, circuit breaker, revocation, narratives, learners' own accounts"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "badge_host",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("manifest_url", sa.String(length=500), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("api_base", sa.String(length=500), nullable=False),
        sa.Column("authorization_url", sa.String(length=500), nullable=False),
        sa.Column("token_url", sa.String(length=500), nullable=False),
        sa.Column("scopes", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("client_id", sa.String(length=255), nullable=False),
        sa.Column("sealed_client_secret", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_badge_host")),
        sa.UniqueConstraint("manifest_url", name=op.f("uq_badge_host_manifest_url")),
    )
    op.create_table(
        "learner_visit",
        sa.Column("session_digest", sa.String(length=64), nullable=False),
        sa.Column("user_name", sa.String(length=500), nullable=False),
        sa.Column("addresses", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("session_digest", name=op.f("pk_learner_visit")),
    )
    with op.batch_alter_table("learner_visit", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_learner_visit_expires_at"), ["expires_at"], unique=False)

    op.create_table(
        "backpack",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("person_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("server_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("host_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("user_name", sa.String(length=500), nullable=False),
        sa.Column("addresses", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False),
        sa.Column("sealed_access_token", sa.Text(), nullable=False),
        sa.Column("sealed_refresh_token", sa.Text(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("dead_since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("(server_id IS NULL) <> (host_id IS NULL)", name=op.f("ck_backpack_one_place")),
        sa.ForeignKeyConstraint(["host_id"], ["badge_host.id"], name=op.f("fk_backpack_host_id")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_backpack_person_id")),
        sa.ForeignKeyConstraint(["server_id"], ["badgr_server.id"], name=op.f("fk_backpack_server_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_backpack")),
        sa.UniqueConstraint("person_id", "host_id", name=op.f("uq_backpack_person_id_host_id")),
        sa.UniqueConstraint("person_id", "server_id", name=op.f("uq_backpack_person_id_server_id")),
    )
    with op.batch_alter_table("award", schema=None) as batch_op:
        batch_op.add_column(sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("revocation_reason", sa.String(length=255), nullable=True))
        batch_op.add_column(sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True))

    with op.batch_alter_table("badge_class", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column(
                "tags", sa.JSON().with_variant(postgresql.JSONB(), "postgresql"), nullable=False, server_default="[]"
            )
        )
        batch_op.add_column(sa.Column("gone_at", sa.DateTime(timezone=True), nullable=True))

    with op.batch_alter_table("badgr_server", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column(
                "scopes",
                sa.JSON().with_variant(postgresql.JSONB(), "postgresql"),
                nullable=False,
                server_default='["r:profile", "rw:issuer"]',
            )
        )
        batch_op.add_column(
            sa.Column(
                "max_parallel", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False, server_default="4"
            )
        )
        batch_op.add_column(
            sa.Column("max_per_minute", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True)
        )
        batch_op.add_column(sa.Column("minute_started_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.add_column(
            sa.Column(
                "sent_in_minute",
                sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
                nullable=False,
                server_default="0",
            )
        )
        batch_op.add_column(
            sa.Column(
                "failures", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False, server_default="0"
            )
        )
        batch_op.add_column(sa.Column("closed_until", sa.DateTime(timezone=True), nullable=True))

    with op.batch_alter_table("connection", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("deployment_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True)
        )
        batch_op.add_column(
            sa.Column(
                "allowed_issuers",
                sa.JSON().with_variant(postgresql.JSONB(), "postgresql"),
                nullable=False,
                server_default="[]",
            )
        )
        batch_op.add_column(sa.Column("changes_until", sa.String(length=100), nullable=True))
        batch_op.add_column(sa.Column("changes_checked_at", sa.DateTime(timezone=True), nullable=True))
        batch_op.alter_column(
            "person_id", existing_type=sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True
        )
        batch_op.create_unique_constraint(
            batch_op.f("uq_connection_server_id_deployment_id_badgr_user_id"),
            ["server_id", "deployment_id", "badgr_user_id"],
        )
        batch_op.create_check_constraint(
            batch_op.f("ck_connection_one_owner"), "(person_id IS NULL) <> (deployment_id IS NULL)"
        )
        batch_op.create_foreign_key(batch_op.f("fk_connection_deployment_id"), "deployment", ["deployment_id"], ["id"])

    with op.batch_alter_table("course", schema=None) as batch_op:
        batch_op.add_column(sa.Column("issuer_role", sa.String(length=20), nullable=True))

    with op.batch_alter_table("person", schema=None) as batch_op:
        batch_op.add_column(sa.Column("chosen_address", sa.String(length=320), nullable=True))

    with op.batch_alter_table("rule", schema=None) as batch_op:
        batch_op.add_column(sa.Column("narrative", sa.Text(), nullable=False, server_default=""))
        batch_op.add_column(sa.Column("evidence_url", sa.String(length=2000), nullable=True))
        batch_op.add_column(sa.Column("notify", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    with op.batch_alter_table("rule", schema=None) as batch_op:
        batch_op.drop_column("notify")
        batch_op.drop_column("evidence_url")
        batch_op.drop_column("narrative")

    with op.batch_alter_table("course", schema=None) as batch_op:
        batch_op.drop_column("issuer_role")

    with op.batch_alter_table("person", schema=None) as batch_op:
        batch_op.drop_column("chosen_address")

    # The version before knows no institution's connections, and no revoked awards.
    op.execute("UPDATE award SET status = 'issued' WHERE status = 'revoking'")
    op.execute("UPDATE award SET status = 'failed', advice = 'Revoked at Badgr.' WHERE status = 'revoked'")
    institutions = "SELECT id FROM connection WHERE person_id IS NULL"
    op.execute(f"UPDATE course SET connection_id = NULL WHERE connection_id IN ({institutions})")  # noqa: S608
    op.execute("DELETE FROM connection WHERE person_id IS NULL")
    with op.batch_alter_table("connection", schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f("ck_connection_one_owner"), type_="check")
        batch_op.drop_constraint(batch_op.f("fk_connection_deployment_id"), type_="foreignkey")
        batch_op.drop_constraint(batch_op.f("uq_connection_server_id_deployment_id_badgr_user_id"), type_="unique")
        batch_op.alter_column(
            "person_id", existing_type=sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False
        )
        batch_op.drop_column("changes_checked_at")
        batch_op.drop_column("changes_until")
        batch_op.drop_column("allowed_issuers")
        batch_op.drop_column("deployment_id")

    with op.batch_alter_table("badgr_server", schema=None) as batch_op:
        batch_op.drop_column("closed_until")
        batch_op.drop_column("failures")
        batch_op.drop_column("sent_in_minute")
        batch_op.drop_column("minute_started_at")
        batch_op.drop_column("max_per_minute")
        batch_op.drop_column("max_parallel")
        batch_op.drop_column("scopes")

    with op.batch_alter_table("badge_class", schema=None) as batch_op:
        batch_op.drop_column("gone_at")
        batch_op.drop_column("tags")

    with op.batch_alter_table("award", schema=None) as batch_op:
        batch_op.drop_column("checked_at")
        batch_op.drop_column("revoked_at")
        batch_op.drop_column("revocation_reason")
        batch_op.drop_column("expires_at")

    op.drop_table("backpack")
    with op.batch_alter_table("learner_visit", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_learner_visit_expires_at"))

    op.drop_table("learner_visit")
    op.drop_table("badge_host")
