"""contradicting networks."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = '0011'
down_revision: str | None = '0010'
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Go one schema forward."""
    with op.batch_alter_table('finding', schema=None) as batch_op:
        batch_op.add_column(sa.Column('contradicting', sa.SmallInteger(), nullable=True))


def downgrade() -> None:
    """Go one schema back."""
    with op.batch_alter_table('finding', schema=None) as batch_op:
        batch_op.drop_column('contradicting')
