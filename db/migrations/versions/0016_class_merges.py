"""class merges: merged classes, the order of classes, and what findings said before a merge."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = '0016'
down_revision: str | None = '0015'
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_COUNTED = 'round_id, kind, status, split, given, pseudo, percent'
_ROUNDS = (  # of datasets with merged classes
    "SELECT round.id FROM round JOIN dataset ON dataset.id = round.dataset_id "
    "WHERE CAST(dataset.merged_classes AS TEXT) <> '[]'"
)


def upgrade() -> None:
    """Go one schema forward."""
    op.add_column('dataset', sa.Column('merged_classes', sa.JSON(), server_default='[]', nullable=False))
    op.add_column('dataset', sa.Column('class_order', sa.JSON(), server_default='[]', nullable=False))
    op.add_column('finding', sa.Column('own_given', sa.Integer(), nullable=True))
    op.add_column('finding', sa.Column('own_pseudo', sa.Integer(), nullable=True))


def downgrade() -> None:
    """Go one schema back; merges and orders are lost with their acts, findings say again what they said before."""
    op.execute(
        f'UPDATE finding SET given = COALESCE(own_given, given), pseudo = COALESCE(own_pseudo, pseudo), '
        f'label = (SELECT label FROM decision WHERE decision.id = finding.decision_id) WHERE round_id IN ({_ROUNDS})'
    )
    op.execute(f'UPDATE finding SET kind = 0 WHERE kind = 1 AND given <> pseudo AND round_id IN ({_ROUNDS})')
    op.execute(f'DELETE FROM finding_count WHERE round_id IN ({_ROUNDS})')
    op.execute(
        f'INSERT INTO finding_count ({_COUNTED}, count) '
        f'SELECT {_COUNTED}, COUNT(*) FROM finding WHERE round_id IN ({_ROUNDS}) GROUP BY {_COUNTED}'
    )
    _forget_acts()
    op.drop_column('finding', 'own_pseudo')
    op.drop_column('finding', 'own_given')
    op.drop_column('dataset', 'class_order')
    op.drop_column('dataset', 'merged_classes')


def _forget_acts() -> None:
    """Remove the acts that the release before cannot read."""
    changeset = sa.table(
        'changeset', sa.column('id'), sa.column('act'), sa.column('note', sa.JSON()), sa.column('target_id')
    )
    acts = op.get_bind().execute(sa.select(changeset.c.id, changeset.c.note).where(changeset.c.act == 'classes'))
    gone = [number for number, note in acts if note['kind'] in ('merge', 'reorder')]
    op.execute(sa.delete(changeset).where(changeset.c.target_id.in_(gone)))
    op.execute(sa.delete(changeset).where(changeset.c.id.in_(gone)))
