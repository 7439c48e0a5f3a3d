"""notes: texts of people on cards."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = '0015'
down_revision: str | None = '0014'
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Go one schema forward."""
    op.create_table(
        'note',
        sa.Column('id', sa.Integer(), nullable=False),
        sa.Column('changeset_id', sa.Integer(), nullable=False),
        sa.Column('sample_id', sa.Integer(), nullable=False),
        sa.Column('finding_id', sa.Integer(), nullable=False),
        sa.Column('text', sa.String(length=500), nullable=False),
        sa.ForeignKeyConstraint(['changeset_id'], ['changeset.id'], name=op.f('fk_note_changeset_id_changeset')),
        sa.ForeignKeyConstraint(['finding_id'], ['finding.id'], name=op.f('fk_note_finding_id_finding')),
        sa.ForeignKeyConstraint(['sample_id'], ['sample.id'], name=op.f('fk_note_sample_id_sample')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_note')),
    )
    op.create_index('ix_note_changeset_id', 'note', ['changeset_id'], unique=False)
    op.create_index('ix_note_sample_id', 'note', ['sample_id'], unique=False)


def downgrade() -> None:
    """Go one schema back; notes are lost with their acts, which the release before cannot read."""
    op.drop_index('ix_note_sample_id', table_name='note')
    op.drop_index('ix_note_changeset_id', table_name='note')
    op.drop_table('note')
    notes = "(SELECT id FROM changeset WHERE act = 'note')"
    op.execute(f'DELETE FROM changeset WHERE target_id IN {notes}')
    op.execute("DELETE FROM changeset WHERE act = 'note'")
