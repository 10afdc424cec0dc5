"""results: the hand-in is a fact of its own beside the progress"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)
TO_HAND_INS = """
UPDATE result SET
  handed_in_at = progressed_at, hand_in_released = progress_released, hand_in_event_id = progress_event_id,
  progressed_at = NULL, activity_progress = NULL, progress_released = TRUE, progress_event_id = NULL
WHERE activity_progress = 'Submitted'
"""
# Former versions know one of the two: who has completed an activity has handed in, and who handed in has not completed.
TO_PROGRESS = """
UPDATE result SET
  progressed_at = handed_in_at, activity_progress = 'Submitted', progress_released = hand_in_released,
  progress_event_id = hand_in_event_id
WHERE handed_in_at IS NOT NULL AND COALESCE(activity_progress, '') <> 'Completed'
"""


def upgrade() -> None:
    with op.batch_alter_table("result") as table:
        table.add_column(sa.Column("handed_in_at", MOMENT, nullable=True))
        table.add_column(sa.Column("hand_in_released", sa.Boolean(), nullable=False, server_default=sa.true()))
        table.add_column(sa.Column("hand_in_event_id", BIG, nullable=True))
        table.create_foreign_key("fk_result_hand_in_event_id", "event", ["hand_in_event_id"], ["id"])
    op.execute(TO_HAND_INS)
    with op.batch_alter_table("result") as table:
        table.alter_column("hand_in_released", server_default=None)


def downgrade() -> None:
    op.execute(TO_PROGRESS)
    with op.batch_alter_table("result") as table:
        table.drop_constraint("fk_result_hand_in_event_id", type_="foreignkey")
        table.drop_column("hand_in_event_id")
        table.drop_column("hand_in_released")
        table.drop_column("handed_in_at")
