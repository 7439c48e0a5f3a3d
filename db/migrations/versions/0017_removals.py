"""removals: images that are removed and imports that are undone, restorable for a week."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = '0017'
down_revision: str | None = '0016'
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

HERE = sa.text('removed_by IS NOT NULL')
REMOVED = 9  # status of findings whose image is removed
STANDING = """
UPDATE finding SET status = COALESCE(
    (SELECT CASE WHEN changeset.act = 'accept_all' THEN 6 ELSE CASE decision.verdict
        WHEN 'accept' THEN 1 WHEN 'keep' THEN 2 WHEN 'relabel' THEN 3 WHEN 'ambiguous' THEN 4 WHEN 'exclude' THEN 5
        WHEN 'second_opinion' THEN 7 END END
     FROM decision JOIN changeset ON changeset.id = decision.changeset_id WHERE decision.id = finding.decision_id),
    CASE WHEN painted THEN 8 ELSE 0 END)
WHERE status = 9
"""
CELL = 'round_id, kind, status, split, given, pseudo, percent'
KIND = "CASE WHEN round_id IS NULL THEN 'dataset' ELSE 'round' END"


def upgrade() -> None:
    """Go one schema forward."""
    for table, columns in (
        ('sample', ('import_id', 'removed_by')),
        ('tagging', ('import_id',)),
        ('deletion', ('import_id',)),
    ):
        for column in columns:
            op.add_column(table, sa.Column(column, sa.Integer(), nullable=True))
    op.create_index('ix_sample_removed_by', 'sample', ['removed_by'], sqlite_where=HERE, postgresql_where=HERE)
    op.add_column('import', sa.Column('dataset_change', sa.JSON(), nullable=True))
    op.add_column('import', sa.Column('deleted_at', sa.DateTime(), nullable=True))
    op.add_column('audit', sa.Column('removed', sa.Integer(), server_default=sa.text('0'), nullable=False))
    kinds = sa.Enum('dataset', 'round', 'import', 'images', name='deletionkind', native_enum=False, length=20)
    op.add_column('deletion', sa.Column('kind', kinds, nullable=True))
    op.execute(f'UPDATE deletion SET kind = {KIND}')
    with op.batch_alter_table('deletion') as batch_op:
        batch_op.alter_column('kind', existing_type=kinds, nullable=False)
    op.create_table(
        'import_change',
        sa.Column('id', sa.Integer(), nullable=False),
        sa.Column('import_id', sa.Integer(), nullable=False),
        sa.Column('sample_id', sa.Integer(), nullable=False),
        sa.Column('changed', sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(['import_id'], ['import.id'], name=op.f('fk_import_change_import_id_import')),
        sa.ForeignKeyConstraint(['sample_id'], ['sample.id'], name=op.f('fk_import_change_sample_id_sample')),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_import_change')),
    )
    op.create_index('ix_import_change_import_id', 'import_change', ['import_id'], unique=False)
    op.create_index('ix_import_change_sample_id', 'import_change', ['sample_id'], unique=False)


def downgrade() -> None:
    """Go one schema back: removed images are there again with their verdicts, and so are those of undone imports."""
    rounds = f'(SELECT round_id FROM finding_count WHERE status = {REMOVED})'
    op.execute(f'CREATE TEMPORARY TABLE recounted AS SELECT DISTINCT round_id FROM finding WHERE round_id IN {rounds}')
    op.execute(STANDING)
    op.execute(f'DELETE FROM finding_count WHERE round_id IN {rounds}')
    op.execute(
        f'INSERT INTO finding_count ({CELL}, count) SELECT {CELL}, count(*) FROM finding '
        f'WHERE round_id IN (SELECT round_id FROM recounted) GROUP BY {CELL}'
    )
    op.execute('DROP TABLE recounted')
    op.drop_index('ix_import_change_sample_id', table_name='import_change')
    op.drop_index('ix_import_change_import_id', table_name='import_change')
    op.drop_table('import_change')
    op.execute("DELETE FROM deletion WHERE kind IN ('import', 'images')")
    for column in ('kind', 'import_id'):
        op.drop_column('deletion', column)
    op.drop_column('audit', 'removed')
    for column in ('deleted_at', 'dataset_change'):
        op.drop_column('import', column)
    op.drop_index('ix_sample_removed_by', table_name='sample')
    for table, columns in (('sample', ('removed_by', 'import_id')), ('tagging', ('import_id',))):
        for column in columns:
            op.drop_column(table, column)
