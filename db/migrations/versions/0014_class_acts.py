"""class acts: classes whose addition was undone."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = '0014'
down_revision: str | None = '0013'
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Go one schema forward."""
    op.add_column('dataset', sa.Column('retired_classes', sa.JSON(), server_default='[]', nullable=False))


def downgrade() -> None:
    """Go one schema back; classes stay as they are, the acts on them are forgotten."""
    changeset = sa.table('changeset', sa.column('id'), sa.column('act'), sa.column('target_id'))
    acts = sa.select(changeset.c.id).where(changeset.c.act == 'classes')
    op.execute(sa.delete(changeset).where(changeset.c.target_id.in_(acts)))
    op.execute(sa.delete(changeset).where(changeset.c.act == 'classes'))
    op.drop_column('dataset', 'retired_classes')
