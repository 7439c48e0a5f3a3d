"""dataset members: datasets that only some users see."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = '0020'
down_revision: str | None = '0019'
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Go one schema forward: everybody goes on seeing every dataset."""
    op.add_column('dataset', sa.Column('restricted', sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_table(
        'dataset_member',
        sa.Column('dataset_id', sa.Integer(), nullable=False),
        sa.Column('user_id', sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ['dataset_id'], ['dataset.id'], name=op.f('fk_dataset_member_dataset_id_dataset'), ondelete='CASCADE'
        ),
        sa.ForeignKeyConstraint(
            ['user_id'], ['user_account.id'], name=op.f('fk_dataset_member_user_id_user_account'), ondelete='CASCADE'
        ),
        sa.PrimaryKeyConstraint('dataset_id', 'user_id', name=op.f('pk_dataset_member')),
    )
    op.create_index('ix_dataset_member_user_id', 'dataset_member', ['user_id'])


def downgrade() -> None:
    """Go one schema back: everybody sees every dataset."""
    op.drop_table('dataset_member')
    op.drop_column('dataset', 'restricted')
