"""The channels that an import asks for; those before it took colour as RGB."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("datasets", sa.Column("channels", sa.Text(), nullable=False, server_default="auto"))


def downgrade() -> None:
    op.drop_column("datasets", "channels")
