"""badge hosts: how the tool is registered there; one wait for each token address; what a Badgr server asks to wait"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "token_wait",
        sa.Column("origin", sa.String(length=500), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("origin", name=op.f("pk_token_wait")),
    )
    with op.batch_alter_table("badgr_server") as table:
        table.drop_column("token_calls_after")
        table.add_column(sa.Column("asked_until", sa.DateTime(timezone=True), nullable=True))
    with op.batch_alter_table("badge_host") as table:
        # Those that are there were registered so.
        table.add_column(
            sa.Column("auth_method", sa.String(length=40), nullable=False, server_default="client_secret_post")
        )
        table.add_column(sa.Column("secret_ends_at", sa.DateTime(timezone=True), nullable=True))
        table.add_column(sa.Column("redirect_uri", sa.String(length=500), nullable=True))
    with op.batch_alter_table("badge_host") as table:
        table.alter_column("auth_method", server_default=None)


def downgrade() -> None:
    # The version before knows no such reason.
    op.execute("UPDATE award SET hold_reason = 'no_connection' WHERE hold_reason = 'issuer_not_allowed'")
    with op.batch_alter_table("badge_host") as table:
        table.drop_column("redirect_uri")
        table.drop_column("secret_ends_at")
        table.drop_column("auth_method")
    with op.batch_alter_table("badgr_server") as table:
        table.drop_column("asked_until")
        table.add_column(sa.Column("token_calls_after", sa.DateTime(timezone=True), nullable=True))
    op.drop_table("token_wait")
