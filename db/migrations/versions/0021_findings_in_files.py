"""findings in files: agreeing findings of large rounds without a row."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = '0021'
down_revision: str | None = '0020'
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_COLUMNS = ('first_finding_id', 'reserved_ids', 'findings_in_file')


def upgrade() -> None:
    """Go one schema forward: rounds that are stored have a row for every finding."""
    for name in _COLUMNS:
        op.add_column('round', sa.Column(name, sa.Integer(), nullable=True))
    op.create_table(
        'made_finding',
        sa.Column('id', sa.Integer(), nullable=False),
        sa.Column('round_id', sa.Integer(), nullable=False),
        sa.Column('rank', sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(['round_id'], ['round.id'], name=op.f('fk_made_finding_round_id_round')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_made_finding')),
    )
    op.create_index('ix_made_finding_round_id', 'made_finding', ['round_id'])


def downgrade() -> None:
    """Go one schema back; refused while a round has findings in a file, which the release before does not read.

    Raises:
        RuntimeError: one has.
    """
    if op.get_bind().execute(sa.text('SELECT id FROM round WHERE findings_in_file > 0')).first() is not None:
        msg = (
            'a round keeps findings in a file, which the release before would not see; restore the backup from before '
            'the update instead'
        )
        raise RuntimeError(msg)
    op.drop_table('made_finding')
    for name in _COLUMNS:
        op.drop_column('round', name)
