"""criteria in versions, exceptions, runs, ids of sources, facts of grade and progress, health of sources, pulls"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
FIRST_VERSIONS = """
INSERT INTO rule_version (rule_id, number, criteria_json, counts_from, fully_graded, needs_approval, on_fall, repeat,
                          created_by_id, created_at)
SELECT id, 1, criteria_json, counts_from, TRUE, FALSE, 'keep', 'once', created_by_id, created_at FROM rule
"""
CURRENT_VERSIONS = """
UPDATE rule SET
  criteria_json = (SELECT v.criteria_json FROM rule_version v WHERE v.rule_id = rule.id AND v.number = rule.version),
  counts_from = (SELECT v.counts_from FROM rule_version v WHERE v.rule_id = rule.id AND v.number = rule.version)
"""


def upgrade() -> None:
    op.create_table(
        "person_alias",
        sa.Column("id", KEY, nullable=False),
        sa.Column("platform_id", KEY, nullable=False),
        sa.Column("kind", sa.String(length=30), nullable=False),
        sa.Column("value", sa.String(length=255), nullable=False),
        sa.Column("person_id", KEY, nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_person_alias_person_id")),
        sa.ForeignKeyConstraint(["platform_id"], ["platform.id"], name=op.f("fk_person_alias_platform_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_person_alias")),
        sa.UniqueConstraint(
            "platform_id", "kind", "value", "person_id", name=op.f("uq_person_alias_platform_id_kind_value_person_id")
        ),
    )
    with op.batch_alter_table("person_alias") as batch_op:
        batch_op.create_index(batch_op.f("ix_person_alias_person_id"), ["person_id"], unique=False)
    op.create_table(
        "source_hour",
        sa.Column("source_id", KEY, nullable=False),
        sa.Column("hour", MOMENT, nullable=False),
        sa.Column("failures", KEY, nullable=False),
        sa.Column("lost", KEY, nullable=False),
        sa.ForeignKeyConstraint(["source_id"], ["source.id"], name=op.f("fk_source_hour_source_id")),
        sa.PrimaryKeyConstraint("source_id", "hour", name=op.f("pk_source_hour")),
    )
    op.create_table(
        "course_alias",
        sa.Column("id", KEY, nullable=False),
        sa.Column("platform_id", KEY, nullable=False),
        sa.Column("kind", sa.String(length=30), nullable=False),
        sa.Column("value", sa.String(length=255), nullable=False),
        sa.Column("course_id", KEY, nullable=False),
        sa.ForeignKeyConstraint(["course_id"], ["course.id"], name=op.f("fk_course_alias_course_id")),
        sa.ForeignKeyConstraint(["platform_id"], ["platform.id"], name=op.f("fk_course_alias_platform_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_course_alias")),
        sa.UniqueConstraint(
            "platform_id", "kind", "value", "course_id", name=op.f("uq_course_alias_platform_id_kind_value_course_id")
        ),
    )
    with op.batch_alter_table("course_alias") as batch_op:
        batch_op.create_index(batch_op.f("ix_course_alias_course_id"), ["course_id"], unique=False)
    op.create_table(
        "missing_id",
        sa.Column("event_id", KEY, nullable=False),
        sa.Column("platform_id", KEY, nullable=False),
        sa.Column("kind", sa.String(length=30), nullable=False),
        sa.Column("value", sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(["event_id"], ["event.id"], name=op.f("fk_missing_id_event_id")),
        sa.ForeignKeyConstraint(["platform_id"], ["platform.id"], name=op.f("fk_missing_id_platform_id")),
        sa.PrimaryKeyConstraint("event_id", "kind", "value", name=op.f("pk_missing_id")),
    )
    with op.batch_alter_table("missing_id") as batch_op:
        batch_op.create_index(
            batch_op.f("ix_missing_id_platform_id_kind_value"), ["platform_id", "kind", "value"], unique=False
        )
    op.create_table(
        "pull_mark",
        sa.Column("course_id", KEY, nullable=False),
        sa.Column("url_digest", sa.String(length=64), nullable=False),
        sa.Column("etag", sa.String(length=500), nullable=False),
        sa.ForeignKeyConstraint(["course_id"], ["course.id"], name=op.f("fk_pull_mark_course_id")),
        sa.PrimaryKeyConstraint("course_id", "url_digest", name=op.f("pk_pull_mark")),
    )
    op.create_table(
        "award_run",
        sa.Column("id", KEY, nullable=False),
        sa.Column("course_id", KEY, nullable=False),
        sa.Column("key", sa.String(length=40), nullable=False),
        sa.Column("rule_id", KEY, nullable=True),
        sa.Column("cause", sa.String(length=30), nullable=False),
        sa.Column("status", sa.String(length=30), nullable=False),
        sa.Column("started_by", sa.String(length=200), nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("decided_by", sa.String(length=200), nullable=True),
        sa.Column("decided_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(["course_id"], ["course.id"], name=op.f("fk_award_run_course_id")),
        sa.ForeignKeyConstraint(["rule_id"], ["rule.id"], name=op.f("fk_award_run_rule_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_award_run")),
        sa.UniqueConstraint("course_id", "key", name=op.f("uq_award_run_course_id_key")),
    )
    with op.batch_alter_table("award_run") as batch_op:
        batch_op.create_index(batch_op.f("ix_award_run_course_id_status"), ["course_id", "status"], unique=False)
        batch_op.create_index(batch_op.f("ix_award_run_key"), ["key"], unique=False)
    op.create_table(
        "rule_exception",
        sa.Column("id", KEY, nullable=False),
        sa.Column("rule_id", KEY, nullable=False),
        sa.Column("person_id", KEY, nullable=False),
        sa.Column("kind", sa.String(length=30), nullable=False),
        sa.Column("activity_id", KEY, nullable=True),
        sa.Column("until", MOMENT, nullable=True),
        sa.Column("note", sa.String(length=500), nullable=False),
        sa.Column("created_by_id", KEY, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["activity_id"], ["activity.id"], name=op.f("fk_rule_exception_activity_id")),
        sa.ForeignKeyConstraint(["created_by_id"], ["person.id"], name=op.f("fk_rule_exception_created_by_id")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_rule_exception_person_id")),
        sa.ForeignKeyConstraint(["rule_id"], ["rule.id"], name=op.f("fk_rule_exception_rule_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rule_exception")),
    )
    with op.batch_alter_table("rule_exception") as batch_op:
        batch_op.create_index(batch_op.f("ix_rule_exception_rule_id_person_id"), ["rule_id", "person_id"], unique=False)
    op.create_table(
        "rule_version",
        sa.Column("id", KEY, nullable=False),
        sa.Column("rule_id", KEY, nullable=False),
        sa.Column("number", KEY, nullable=False),
        sa.Column("criteria_json", JSON, nullable=False),
        sa.Column("counts_from", MOMENT, nullable=True),
        sa.Column("counts_until", MOMENT, nullable=True),
        sa.Column("fully_graded", sa.Boolean(), nullable=False),
        sa.Column("needs_approval", sa.Boolean(), nullable=False),
        sa.Column("on_fall", sa.String(length=30), nullable=False),
        sa.Column("repeat", sa.String(length=30), nullable=False),
        sa.Column("created_by_id", KEY, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["created_by_id"], ["person.id"], name=op.f("fk_rule_version_created_by_id")),
        sa.ForeignKeyConstraint(["rule_id"], ["rule.id"], name=op.f("fk_rule_version_rule_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rule_version")),
        sa.UniqueConstraint("rule_id", "number", name=op.f("uq_rule_version_rule_id_number")),
    )
    op.execute(FIRST_VERSIONS)
    with op.batch_alter_table("award") as batch_op:
        batch_op.add_column(sa.Column("rule_version_id", KEY, nullable=True))
        batch_op.add_column(sa.Column("run_id", KEY, nullable=True))
        batch_op.add_column(sa.Column("number", KEY, nullable=False, server_default="1"))
        batch_op.add_column(sa.Column("revoked_by", sa.String(length=30), nullable=True))
        batch_op.add_column(sa.Column("awaits_approval", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch_op.add_column(sa.Column("by_hand", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch_op.add_column(sa.Column("fell_at", MOMENT, nullable=True))
        batch_op.add_column(sa.Column("fall_detail", sa.String(length=1000), nullable=True))
        batch_op.add_column(sa.Column("fall_kept_at", MOMENT, nullable=True))
        batch_op.drop_constraint(batch_op.f("uq_award_badge_class_id_person_id"), type_="unique")
        batch_op.create_index(batch_op.f("ix_award_rule_id"), ["rule_id"], unique=False)
        batch_op.create_index(batch_op.f("ix_award_run_id"), ["run_id"], unique=False)
        batch_op.create_unique_constraint(
            batch_op.f("uq_award_badge_class_id_person_id_number"), ["badge_class_id", "person_id", "number"]
        )
        batch_op.create_foreign_key(batch_op.f("fk_award_rule_version_id"), "rule_version", ["rule_version_id"], ["id"])
        batch_op.create_foreign_key(batch_op.f("fk_award_run_id"), "award_run", ["run_id"], ["id"])
    op.execute(
        "UPDATE award SET rule_version_id = (SELECT id FROM rule_version WHERE rule_version.rule_id = award.rule_id)"
    )
    with op.batch_alter_table("award") as batch_op:
        batch_op.alter_column("rule_version_id", existing_type=KEY, nullable=False)
    with op.batch_alter_table("course") as batch_op:
        batch_op.add_column(sa.Column("pulled_at", MOMENT, nullable=True))
        batch_op.add_column(sa.Column("pull_due_at", MOMENT, nullable=True))
        batch_op.add_column(sa.Column("pull_failures", KEY, nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("pull_error", sa.String(length=500), nullable=True))
        batch_op.create_index(batch_op.f("ix_course_pull_due_at"), ["pull_due_at"], unique=False)
    with op.batch_alter_table("enrolment") as batch_op:
        batch_op.add_column(sa.Column("evaluate_at", MOMENT, nullable=True))
        batch_op.create_index(batch_op.f("ix_enrolment_evaluate_at"), ["evaluate_at"], unique=False)
    with op.batch_alter_table("event") as batch_op:
        batch_op.add_column(sa.Column("occurred_at", MOMENT, nullable=True))
        batch_op.add_column(sa.Column("repeats", KEY, nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("outcome", JSON, nullable=True))
        batch_op.add_column(sa.Column("run_key", sa.String(length=40), nullable=True))
        batch_op.add_column(sa.Column("body_removed_at", MOMENT, nullable=True))
        batch_op.create_index(batch_op.f("ix_event_run_key"), ["run_key"], unique=False)
    with op.batch_alter_table("result") as batch_op:
        batch_op.add_column(sa.Column("graded_at", MOMENT, nullable=True))
        batch_op.add_column(sa.Column("grade_released", sa.Boolean(), nullable=False, server_default=sa.true()))
        batch_op.add_column(sa.Column("grade_event_id", KEY, nullable=True))
        batch_op.add_column(sa.Column("progressed_at", MOMENT, nullable=True))
        batch_op.add_column(sa.Column("progress_released", sa.Boolean(), nullable=False, server_default=sa.true()))
        batch_op.add_column(sa.Column("progress_event_id", KEY, nullable=True))
        batch_op.alter_column("grading_progress", existing_type=sa.String(length=20), nullable=True)
        batch_op.alter_column("activity_progress", existing_type=sa.String(length=20), nullable=True)
        batch_op.create_foreign_key(batch_op.f("fk_result_grade_event_id"), "event", ["grade_event_id"], ["id"])
        batch_op.create_foreign_key(batch_op.f("fk_result_progress_event_id"), "event", ["progress_event_id"], ["id"])
    op.execute(
        "UPDATE result SET graded_at = occurred_at, grade_released = released, grade_event_id = event_id, "
        "progressed_at = occurred_at, progress_released = released, progress_event_id = event_id"
    )
    with op.batch_alter_table("result") as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_result_event_id"), type_="foreignkey")
        batch_op.drop_column("event_id")
        batch_op.drop_column("occurred_at")
        batch_op.drop_column("released")
    with op.batch_alter_table("rule") as batch_op:
        batch_op.add_column(sa.Column("version", KEY, nullable=False, server_default="1"))
        batch_op.drop_column("counts_from")
        batch_op.drop_column("criteria_json")
    with op.batch_alter_table("source") as batch_op:
        batch_op.add_column(sa.Column("sealed_options", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("deployment_id", KEY, nullable=True))
        batch_op.add_column(sa.Column("match_by_email", sa.Boolean(), nullable=False, server_default=sa.false()))
        batch_op.add_column(sa.Column("alarm_after_hours", KEY, nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("alarmed_at", MOMENT, nullable=True))
        batch_op.add_column(sa.Column("last_fault_at", MOMENT, nullable=True))
        batch_op.add_column(sa.Column("last_fault", sa.String(length=500), nullable=True))
        batch_op.create_foreign_key(batch_op.f("fk_source_deployment_id"), "deployment", ["deployment_id"], ["id"])


def downgrade() -> None:
    # Kinds of source that former versions do not know keep their events, but take no new ones.
    op.execute("UPDATE source SET enabled = FALSE WHERE kind <> 'standard'")
    with op.batch_alter_table("source") as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_source_deployment_id"), type_="foreignkey")
        batch_op.drop_column("last_fault")
        batch_op.drop_column("last_fault_at")
        batch_op.drop_column("alarmed_at")
        batch_op.drop_column("alarm_after_hours")
        batch_op.drop_column("match_by_email")
        batch_op.drop_column("deployment_id")
        batch_op.drop_column("sealed_options")
    with op.batch_alter_table("rule") as batch_op:
        batch_op.add_column(sa.Column("criteria_json", JSON, nullable=True))
        batch_op.add_column(sa.Column("counts_from", MOMENT, nullable=True))
    op.execute(CURRENT_VERSIONS)
    op.execute("UPDATE rule SET status = 'paused' WHERE status = 'archived'")
    with op.batch_alter_table("rule") as batch_op:
        batch_op.alter_column("criteria_json", existing_type=JSON, nullable=False)
        batch_op.drop_column("version")
    with op.batch_alter_table("result") as batch_op:
        batch_op.add_column(sa.Column("released", sa.Boolean(), nullable=False, server_default=sa.true()))
        batch_op.add_column(sa.Column("occurred_at", MOMENT, nullable=True))
        batch_op.add_column(sa.Column("event_id", KEY, nullable=True))
    op.execute(
        "UPDATE result SET released = grade_released AND progress_released, "
        "occurred_at = COALESCE(graded_at, progressed_at), event_id = COALESCE(grade_event_id, progress_event_id), "
        "activity_progress = COALESCE(activity_progress, 'Started'), "
        "grading_progress = COALESCE(grading_progress, 'NotReady')"
    )
    with op.batch_alter_table("result") as batch_op:
        batch_op.alter_column("occurred_at", existing_type=MOMENT, nullable=False)
        batch_op.alter_column("released", existing_type=sa.Boolean(), server_default=None)
        batch_op.drop_constraint(batch_op.f("fk_result_progress_event_id"), type_="foreignkey")
        batch_op.drop_constraint(batch_op.f("fk_result_grade_event_id"), type_="foreignkey")
        batch_op.create_foreign_key(batch_op.f("fk_result_event_id"), "event", ["event_id"], ["id"])
        batch_op.alter_column("activity_progress", existing_type=sa.String(length=20), nullable=False)
        batch_op.alter_column("grading_progress", existing_type=sa.String(length=20), nullable=False)
        batch_op.drop_column("progress_event_id")
        batch_op.drop_column("progress_released")
        batch_op.drop_column("progressed_at")
        batch_op.drop_column("grade_event_id")
        batch_op.drop_column("grade_released")
        batch_op.drop_column("graded_at")
    with op.batch_alter_table("event") as batch_op:
        batch_op.drop_index(batch_op.f("ix_event_run_key"))
        batch_op.drop_column("body_removed_at")
        batch_op.drop_column("run_key")
        batch_op.drop_column("outcome")
        batch_op.drop_column("repeats")
        batch_op.drop_column("occurred_at")
    with op.batch_alter_table("enrolment") as batch_op:
        batch_op.drop_index(batch_op.f("ix_enrolment_evaluate_at"))
        batch_op.drop_column("evaluate_at")
    with op.batch_alter_table("course") as batch_op:
        batch_op.drop_index(batch_op.f("ix_course_pull_due_at"))
        batch_op.drop_column("pull_error")
        batch_op.drop_column("pull_failures")
        batch_op.drop_column("pull_due_at")
        batch_op.drop_column("pulled_at")
    # Former versions know one award per person and badge: the others leave our books (Badgr keeps its assertions).
    op.execute("DELETE FROM award_step WHERE award_id IN (SELECT id FROM award WHERE number > 1)")
    op.execute("DELETE FROM award WHERE number > 1")
    op.execute("UPDATE award SET hold_reason = 'not_on_roster' WHERE hold_reason IN ('approval', 'brake')")
    with op.batch_alter_table("award") as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_award_run_id"), type_="foreignkey")
        batch_op.drop_constraint(batch_op.f("fk_award_rule_version_id"), type_="foreignkey")
        batch_op.drop_constraint(batch_op.f("uq_award_badge_class_id_person_id_number"), type_="unique")
        batch_op.drop_index(batch_op.f("ix_award_run_id"))
        batch_op.drop_index(batch_op.f("ix_award_rule_id"))
        batch_op.create_unique_constraint(
            batch_op.f("uq_award_badge_class_id_person_id"), ["badge_class_id", "person_id"]
        )
        batch_op.drop_column("fall_kept_at")
        batch_op.drop_column("fall_detail")
        batch_op.drop_column("fell_at")
        batch_op.drop_column("by_hand")
        batch_op.drop_column("awaits_approval")
        batch_op.drop_column("revoked_by")
        batch_op.drop_column("number")
        batch_op.drop_column("run_id")
        batch_op.drop_column("rule_version_id")
    op.drop_table("rule_version")
    with op.batch_alter_table("rule_exception") as batch_op:
        batch_op.drop_index(batch_op.f("ix_rule_exception_rule_id_person_id"))
    op.drop_table("rule_exception")
    with op.batch_alter_table("award_run") as batch_op:
        batch_op.drop_index(batch_op.f("ix_award_run_key"))
        batch_op.drop_index(batch_op.f("ix_award_run_course_id_status"))
    op.drop_table("award_run")
    op.drop_table("pull_mark")
    with op.batch_alter_table("missing_id") as batch_op:
        batch_op.drop_index(batch_op.f("ix_missing_id_platform_id_kind_value"))
    op.drop_table("missing_id")
    with op.batch_alter_table("course_alias") as batch_op:
        batch_op.drop_index(batch_op.f("ix_course_alias_course_id"))
    op.drop_table("course_alias")
    op.drop_table("source_hour")
    with op.batch_alter_table("person_alias") as batch_op:
        batch_op.drop_index(batch_op.f("ix_person_alias_person_id"))
    op.drop_table("person_alias")
