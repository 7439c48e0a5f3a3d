"""matched images: which known image a staged one is."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = '0010'
down_revision: str | None = '0009'
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Go one schema forward."""
    with op.batch_alter_table('incoming_sample', schema=None) as batch_op:
        batch_op.add_column(sa.Column('sample_id', sa.Integer(), nullable=True))
        batch_op.create_foreign_key(
            batch_op.f('fk_incoming_sample_sample_id_sample'), 'sample', ['sample_id'], ['id']
        )


def downgrade() -> None:
    """Go one schema back."""
    with op.batch_alter_table('incoming_sample', schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f('fk_incoming_sample_sample_id_sample'), type_='foreignkey')
        batch_op.drop_column('sample_id')
