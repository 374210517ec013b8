"""Priorities, GPUs and what an attempt runs on; workers with their load; load of runs; tokens."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

INTEGER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def new_of_runs() -> list[sa.Column]:
    return [
        sa.Column("priority", INTEGER, nullable=False, server_default="0"),
        sa.Column("rank", sa.Double(), nullable=False, server_default="0"),
        sa.Column("step", INTEGER, nullable=True),
        sa.Column("total_steps", INTEGER, nullable=True),
        sa.Column("output_end", INTEGER, nullable=False, server_default="0"),
        sa.Column("gpus", sa.JSON(), nullable=True),
        sa.Column("remedy", sa.JSON(), nullable=True),
        sa.Column("environment", sa.JSON(), nullable=True),
    ]


def upgrade() -> None:
    for column in new_of_runs():
        op.add_column("runs", column)
    op.drop_column("runs", "sent_at")

    # Whoever lives registers anew within seconds.
    op.drop_index("ix_workers_last_seen", "workers")
    op.drop_table("workers")
    op.create_table(
        "workers",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("gpus", sa.JSON(), nullable=False),
        sa.Column("slots_per_gpu", INTEGER, nullable=False),
        sa.Column("cores", INTEGER, nullable=False),
        sa.Column("cpu_percent", sa.Double(), nullable=False),
        sa.Column("memory_bytes", INTEGER, nullable=False),
        sa.Column("memory_used_bytes", INTEGER, nullable=False),
        sa.Column("disk_bytes", INTEGER, nullable=False),
        sa.Column("disk_free_bytes", INTEGER, nullable=False),
        sa.Column("versions", sa.JSON(), nullable=False),
        sa.Column("draining", sa.Boolean(), nullable=False),
        sa.Column("last_seen", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_workers"),
    )
    op.create_index("ix_workers_last_seen", "workers", ["last_seen"])

    op.create_table(
        "system_samples",
        sa.Column("id", INTEGER, nullable=False),
        sa.Column("run_id", sa.Text(), nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("values", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_system_samples"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_system_samples_run_id", ondelete="CASCADE"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_system_samples_run_id_id", "system_samples", ["run_id", "id"])

    op.create_table(
        "tokens",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_tokens"),
        sa.UniqueConstraint("sha256", name="uq_tokens_sha256"),
    )


def downgrade() -> None:
    op.drop_table("tokens")
    op.drop_index("ix_system_samples_run_id_id", "system_samples")
    op.drop_table("system_samples")
    op.drop_index("ix_workers_last_seen", "workers")
    op.drop_table("workers")
    op.create_table(
        "workers",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("device", sa.Text(), nullable=False),
        sa.Column("cores", INTEGER, nullable=False),
        sa.Column("memory_bytes", INTEGER, nullable=False),
        sa.Column("versions", sa.JSON(), nullable=False),
        sa.Column("last_seen", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_workers"),
    )
    op.create_index("ix_workers_last_seen", "workers", ["last_seen"])
    for column in new_of_runs():
        op.drop_column("runs", column.name)
    op.add_column("runs", sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True))
