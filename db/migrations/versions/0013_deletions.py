"""deletions: datasets and rounds that are deleted, and can be restored for a week."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = '0013'
down_revision: str | None = '0012'
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Go one schema forward."""
    op.create_table(
        'deletion',
        sa.Column('id', sa.Integer(), nullable=False),
        sa.Column('dataset_id', sa.Integer(), nullable=False),
        sa.Column('round_id', sa.Integer(), nullable=True),
        sa.Column('name', sa.String(length=240), nullable=False),
        sa.Column('held', sa.JSON(), nullable=False),
        sa.Column('deleted_by', sa.String(length=80), nullable=False),
        sa.Column('deleted_at', sa.DateTime(), nullable=False),
        sa.Column('restored_at', sa.DateTime(), nullable=True),
        sa.Column('purged_at', sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_deletion')),
    )
    for table in ('dataset', 'round'):
        op.add_column(table, sa.Column('deleted_at', sa.DateTime(), nullable=True))


def downgrade() -> None:
    """Go one schema back; what is deleted is there again."""
    for table in ('round', 'dataset'):
        op.drop_column(table, 'deleted_at')
    op.drop_table('deletion')
