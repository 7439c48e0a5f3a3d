"""tags."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = '0006'
down_revision: str | None = '0005'
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Go one schema forward."""
    with op.batch_alter_table('incoming_sample', schema=None) as batch_op:
        batch_op.add_column(sa.Column('tags', sa.JSON(none_as_null=True), nullable=True))

    with op.batch_alter_table('tagging', schema=None) as batch_op:
        batch_op.add_column(sa.Column('client_id', sa.String(length=64), nullable=True))
        batch_op.add_column(sa.Column('client_seq', sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column('undoes_id', sa.Integer(), nullable=True))
        batch_op.create_unique_constraint(op.f('uq_tagging_client_id_client_seq'), ['client_id', 'client_seq'])
        batch_op.create_unique_constraint(op.f('uq_tagging_undoes_id'), ['undoes_id'])
        batch_op.create_foreign_key(op.f('fk_tagging_undoes_id_tagging'), 'tagging', ['undoes_id'], ['id'])


def downgrade() -> None:
    """Go one schema back."""
    with op.batch_alter_table('tagging', schema=None) as batch_op:
        batch_op.drop_constraint(op.f('fk_tagging_undoes_id_tagging'), type_='foreignkey')
        batch_op.drop_constraint(op.f('uq_tagging_undoes_id'), type_='unique')
        batch_op.drop_constraint(op.f('uq_tagging_client_id_client_seq'), type_='unique')
        batch_op.drop_column('undoes_id')
        batch_op.drop_column('client_seq')
        batch_op.drop_column('client_id')

    with op.batch_alter_table('incoming_sample', schema=None) as batch_op:
        batch_op.drop_column('tags')
