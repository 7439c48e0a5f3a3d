"""differing annotators: images of which a source has several labels."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = '0012'
down_revision: str | None = '0011'
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Go one schema forward."""
    for table in ('sample', 'incoming_sample'):
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.add_column(
                sa.Column('annotators_differ', sa.Boolean(), server_default=sa.false(), nullable=False)
            )


def downgrade() -> None:
    """Go one schema back."""
    for table in ('incoming_sample', 'sample'):
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.drop_column('annotators_differ')
