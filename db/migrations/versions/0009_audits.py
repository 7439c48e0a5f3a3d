"""audits: random samples of findings."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = '0009'
down_revision: str | None = '0008'
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Go one schema forward."""
    op.create_table('audit',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('dataset_id', sa.Integer(), nullable=False),
    sa.Column('round_id', sa.Integer(), nullable=False),
    sa.Column('kind', sa.SmallInteger(), nullable=False),
    sa.Column('identity', sa.String(length=32), nullable=False),
    sa.Column('filter', sa.JSON(), nullable=False),
    sa.Column('threshold', sa.Double(), nullable=True),
    sa.Column('size', sa.Integer(), nullable=False),
    sa.Column('finding_ids', sa.LargeBinary(), nullable=False),
    sa.Column('settled_ids', sa.LargeBinary(), nullable=False),
    sa.Column('levels', sa.JSON(none_as_null=True), nullable=False),
    sa.Column('pixels', sa.JSON(none_as_null=True), nullable=True),
    sa.Column('seed', sa.BigInteger(), nullable=False),
    sa.Column('number', sa.Integer(), nullable=False),
    sa.Column('alpha', sa.Double(), nullable=False),
    sa.Column('target', sa.String(length=20), nullable=False),
    sa.Column('parent_id', sa.Integer(), nullable=True),
    sa.Column('annotator_id', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.DateTime(), nullable=False),
    sa.Column('closed_at', sa.DateTime(), nullable=True),
    sa.ForeignKeyConstraint(['annotator_id'], ['annotator.id'], name=op.f('fk_audit_annotator_id_annotator')),
    sa.ForeignKeyConstraint(['dataset_id'], ['dataset.id'], name=op.f('fk_audit_dataset_id_dataset')),
    sa.ForeignKeyConstraint(['round_id'], ['round.id'], name=op.f('fk_audit_round_id_round')),
    sa.ForeignKeyConstraint(['parent_id'], ['audit.id'], name=op.f('fk_audit_parent_id_audit')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_audit')),
    sa.UniqueConstraint('round_id', 'identity', name=op.f('uq_audit_round_id_identity'))
    )
    op.create_table('audit_lease',
    sa.Column('id', sa.Integer(), nullable=False),
    sa.Column('audit_id', sa.Integer(), nullable=False),
    sa.Column('finding_id', sa.Integer(), nullable=False),
    sa.Column('annotator_id', sa.Integer(), nullable=False),
    sa.Column('until', sa.DateTime(), nullable=False),
    sa.ForeignKeyConstraint(['annotator_id'], ['annotator.id'], name=op.f('fk_audit_lease_annotator_id_annotator')),
    sa.ForeignKeyConstraint(['audit_id'], ['audit.id'], name=op.f('fk_audit_lease_audit_id_audit')),
    sa.ForeignKeyConstraint(['finding_id'], ['finding.id'], name=op.f('fk_audit_lease_finding_id_finding')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_audit_lease')),
    sa.UniqueConstraint('audit_id', 'finding_id', name=op.f('uq_audit_lease_audit_id_finding_id'))
    )
    with op.batch_alter_table('changeset', schema=None) as batch_op:
        batch_op.add_column(sa.Column('audit_id', sa.Integer(), nullable=True))
        batch_op.create_index('ix_changeset_audit_id', ['audit_id'], unique=False)
        batch_op.create_foreign_key(batch_op.f('fk_changeset_audit_id_audit'), 'audit', ['audit_id'], ['id'])



def downgrade() -> None:
    """Go one schema back."""
    with op.batch_alter_table('changeset', schema=None) as batch_op:
        batch_op.drop_constraint(batch_op.f('fk_changeset_audit_id_audit'), type_='foreignkey')
        batch_op.drop_index('ix_changeset_audit_id')
        batch_op.drop_column('audit_id')

    op.drop_table('audit_lease')
    op.drop_table('audit')
