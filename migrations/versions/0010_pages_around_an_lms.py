"""platforms: whose pages may show the tool beside those of the LMS"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    with op.batch_alter_table("platform") as table:
        table.add_column(sa.Column("frame_origins", JSON, nullable=False, server_default="[]"))
    with op.batch_alter_table("platform") as table:
        table.alter_column("frame_origins", server_default=None)


def downgrade() -> None:
    with op.batch_alter_table("platform") as table:
        table.drop_column("frame_origins")
