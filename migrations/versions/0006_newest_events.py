"""indexes by time of events and of the steps of awards"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

HAS_BODY = sa.text("body_removed_at IS NULL")


def upgrade() -> None:
    op.create_index("ix_event_source_id_received_at_id", "event", ["source_id", "received_at", "id"])
    op.create_index("ix_event_source_id_status_received_at_id", "event", ["source_id", "status", "received_at", "id"])
    op.create_index(
        "ix_event_with_body", "event", ["status", "received_at"], sqlite_where=HAS_BODY, postgresql_where=HAS_BODY
    )
    op.create_index("ix_award_step_event_id", "award_step", ["event_id"])
    op.create_index("ix_award_step_kind_at", "award_step", ["kind", "at"])


def downgrade() -> None:
    op.drop_index("ix_award_step_kind_at", "award_step")
    op.drop_index("ix_award_step_event_id", "award_step")
    op.drop_index("ix_event_with_body", "event")
    op.drop_index("ix_event_source_id_status_received_at_id", "event")
    op.drop_index("ix_event_source_id_received_at_id", "event")
