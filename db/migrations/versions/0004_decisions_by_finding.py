"""decisions by finding."""

from collections.abc import Sequence

from alembic import op

revision: str = '0004'
down_revision: str | None = '0003'
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    """Go one schema forward."""
    op.drop_index('ix_decision_sample_id', 'decision')
    op.create_index('ix_decision_sample_id_finding_id', 'decision', ['sample_id', 'finding_id'])


def downgrade() -> None:
    """Go one schema back."""
    op.drop_index('ix_decision_sample_id_finding_id', 'decision')
    op.create_index('ix_decision_sample_id', 'decision', ['sample_id'])
