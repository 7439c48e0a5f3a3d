import pytest

from core.data.export.placing import sized


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 bytes"), (999, "999 bytes"), (40_960, "41.0 kB"), (7_300_000, "7.3 MB"), (5e9, "5.0 GB")]
)
def test_bytes_are_told_in_the_unit_that_fits(count: int, said: str) -> None:
    assert sized(count) == said
