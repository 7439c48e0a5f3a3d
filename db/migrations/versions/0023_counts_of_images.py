"""indexes of images: counts by size and split, and those without a label, no longer read every row."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = '0023'
down_revision: str | None = '0022'
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_BARE = sa.text('label IS NULL AND mask_hash IS NULL')
_COUNTED = ['dataset_id', 'vanished_at', 'removed_by', 'split', 'width', 'height', 'grey', 'group']


def upgrade() -> None:
    """Go one schema forward."""
    op.create_index('ix_sample_counted', 'sample', _COUNTED)
    op.create_index('ix_sample_bare', 'sample', _COUNTED[:3], sqlite_where=_BARE, postgresql_where=_BARE)


def downgrade() -> None:
    """Go one schema back."""
    op.drop_index('ix_sample_bare', 'sample', sqlite_where=_BARE, postgresql_where=_BARE)
    op.drop_index('ix_sample_counted', 'sample')
