"""users: names with passwords and roles, their sessions, and the audit log."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = '0018'
down_revision: str | None = '0017'
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

ROLES = sa.Enum('annotator', 'lead', 'admin', name='role', native_enum=False, length=20)
ACTS = sa.Enum(
    'sign_in', 'sign_in_failed', 'sign_in_refused', 'sign_out', 'sign_out_everywhere', 'user_added', 'user_removed',
    'role_changed', 'password_changed', 'bulk_act', 'export', name='loggedact', native_enum=False, length=20,
)  # fmt: skip


def upgrade() -> None:
    """Go one schema forward."""
    op.create_table(
        'user_account',
        sa.Column('id', sa.Integer(), nullable=False),
        sa.Column('name', sa.String(80), nullable=False),
        sa.Column('folded_name', sa.String(240), nullable=False),
        sa.Column('password_hash', sa.String(200), nullable=False),
        sa.Column('role', ROLES, nullable=False),
        sa.Column('created_at', sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_user_account')),
        sa.UniqueConstraint('folded_name', name=op.f('uq_user_account_folded_name')),
    )
    op.create_table(
        'login_session',
        sa.Column('id', sa.Integer(), nullable=False),
        sa.Column('user_id', sa.Integer(), nullable=False),
        sa.Column('secret_hash', sa.String(64), nullable=False),
        sa.Column('created_at', sa.DateTime(), nullable=False),
        sa.Column('expires_at', sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ['user_id'], ['user_account.id'], name=op.f('fk_login_session_user_id_user_account'), ondelete='CASCADE'
        ),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_login_session')),
        sa.UniqueConstraint('secret_hash', name=op.f('uq_login_session_secret_hash')),
    )
    op.create_index('ix_login_session_user_id', 'login_session', ['user_id'])
    op.create_table(
        'signing_key',
        sa.Column('id', sa.Integer(), nullable=False),
        sa.Column('key', sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_signing_key')),
    )
    op.create_table(
        'log_entry',
        sa.Column('id', sa.Integer(), nullable=False),
        sa.Column('act', ACTS, nullable=False),
        sa.Column('actor', sa.String(80), nullable=False),
        sa.Column('subject', sa.String(240), nullable=False),
        sa.Column('address', sa.String(64), nullable=False),
        sa.Column('details', sa.JSON(), nullable=False),
        sa.Column('happened_at', sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_log_entry')),
    )
    op.create_index('ix_log_entry_act_subject_happened_at', 'log_entry', ['act', 'subject', 'happened_at'])
    op.create_index('ix_log_entry_act_address_happened_at', 'log_entry', ['act', 'address', 'happened_at'])


def downgrade() -> None:
    """Go one schema back: users, sessions and the audit log go."""
    for table in ('log_entry', 'signing_key', 'login_session', 'user_account'):
        op.drop_table(table)
