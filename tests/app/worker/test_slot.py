import os

import pytest

from app.services.app_context import AppContext
from app.services.workers import slot_lock
from app.worker.slot import slot_is_free, slot_name, take_slot
from core.data.storage import is_held
from core.types import RoundError


def test_a_slot_is_taken_while_its_process_lives_and_free_afterwards(app_context: AppContext) -> None:
    settings = app_context.settings
    path = slot_lock(settings, slot_name(settings))
    with take_slot(settings):
        assert is_held(path)
        assert not slot_is_free(settings)
        with pytest.raises(RoundError, match=rf"already runs in slot .* \(process {os.getpid()}\); stop it"):
            take_slot(settings)
    assert not is_held(path)
    assert slot_is_free(settings)


def test_slots_do_not_exclude_each_other(app_context: AppContext) -> None:
    other = app_context.settings.model_copy(update={"worker_slot": "1"})
    with take_slot(app_context.settings), take_slot(other):
        assert not slot_is_free(other)
