"""shards: jobs that embed a part of a round's images each."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = '0022'
down_revision: str | None = '0021'
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_STATUSES = ('queued', 'running', 'done', 'failed', 'cancelled')


def upgrade() -> None:
    """Go one schema forward: rounds that are open have no shards, and each of their folds embeds as before."""
    op.create_table(
        'shard_run',
        sa.Column('id', sa.Integer(), nullable=False),
        sa.Column('round_id', sa.Integer(), nullable=False),
        sa.Column('shard', sa.Integer(), nullable=False),
        sa.Column('attempt', sa.Integer(), nullable=False),
        sa.Column('status', sa.Enum(*_STATUSES, name='jobstatus', native_enum=False, length=20), nullable=False),
        sa.Column('stage', sa.String(length=80), nullable=False),
        sa.Column('fraction', sa.Double(), nullable=False),
        sa.Column('images_per_second', sa.Double(), nullable=True),
        sa.Column('message', sa.String(), nullable=False),
        sa.Column('started_at', sa.DateTime(), nullable=True),
        sa.Column('updated_at', sa.DateTime(), nullable=True),
        sa.Column('finished_at', sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(['round_id'], ['round.id'], name=op.f('fk_shard_run_round_id_round')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_shard_run')),
        sa.UniqueConstraint('round_id', 'shard', name=op.f('uq_shard_run_round_id_shard')),
    )


def downgrade() -> None:
    """Go one schema back: an unfinished round embeds its images in its folds again."""
    op.drop_table('shard_run')
