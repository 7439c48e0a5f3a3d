"""OpenID Connect: the address that lets a user in, and the identity that came by it."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = '0019'
down_revision: str | None = '0018'
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

COLUMNS = {'email': 254, 'identity': 600}


def upgrade() -> None:
    """Go one schema forward."""
    for name, length in COLUMNS.items():
        op.add_column('user_account', sa.Column(name, sa.String(length), nullable=True))
        op.create_index(f'ix_user_account_{name}', 'user_account', [name], unique=True)


def downgrade() -> None:
    """Go one schema back: users without a password stay, and cannot sign in."""
    for name in COLUMNS:
        op.drop_index(f'ix_user_account_{name}', 'user_account')
        op.drop_column('user_account', name)
