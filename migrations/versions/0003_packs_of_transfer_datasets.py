"""The images of the datasets that a run's evaluation transfers to, fixed when it is launched."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("runs", sa.Column("transfer_packs", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("runs", "transfer_packs")
