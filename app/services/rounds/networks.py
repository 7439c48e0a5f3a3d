"""Kept networks of rounds: listing, use for predictions, and removal.

Those of a dataset's newest finished rounds are kept, for a number of rounds in the settings. Users of networks
share their round's lock, so none is removed that is in use.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from app.services.app_context import AppContext
from core.config import RoundConfig
from core.data.networks import KeptNetwork, drop_networks, keeps_networks, network_folder, round_networks
from core.data.shared_rounds import forget_networks, shares_networks
from core.data.storage import try_lock
from core.types import JobStatus, RoundError
from db.queries import datasets, rounds
from db.queries.rounds import RoundInfo

__all__ = ["KeptNetwork", "RoundNetworks", "hold_networks", "networks_of", "networks_of_round", "prune_networks"]


@dataclass(frozen=True, slots=True)
class RoundNetworks:
    """A round and its kept networks."""

    round: RoundInfo
    networks: list[KeptNetwork]

    @property
    def predicting(self) -> list[KeptNetwork]:
        """Return the networks that predict new images."""
        return [kept for kept in self.networks if kept.about.predicts]


def networks_of(app_context: AppContext, dataset_id: int) -> list[RoundNetworks]:
    """Return the finished rounds of a dataset with kept networks, newest first."""
    with app_context.database.read() as session:
        listed = rounds.list_rounds(session, dataset_id)
    found = [networks_of_round(app_context, info) for info in listed if info.status is JobStatus.DONE]
    return [one for one in found if one.networks]


def networks_of_round(app_context: AppContext, info: RoundInfo) -> RoundNetworks:
    """Return the kept networks of one round."""
    return RoundNetworks(info, round_networks(app_context.round_folder(info.id)))


@contextmanager
def hold_networks(app_context: AppContext, dataset_id: int, number: int | None = None) -> Iterator[RoundNetworks]:
    """Lock the networks of the round with this number, or of the newest one with networks, for the block.

    Raises:
        RoundError: there are none, or not those of the round's end; the text names them and the cure.
    """
    known = [one for one in networks_of(app_context, dataset_id) if one.predicting]
    chosen = next((one for one in known if number in (None, one.round.number)), None)
    if chosen is None:
        raise _none_kept(app_context, known, number)
    handle = try_lock(_lock(app_context, chosen.round), shared=True)
    if handle is None:
        raise RoundError(f"the networks of {chosen.round.name} are being removed", "choose a newer round")
    try:
        chosen = networks_of_round(app_context, chosen.round)  # read again now that they cannot be removed
        _refuse_others(app_context, chosen)
        yield _coloured(app_context, chosen)
    finally:
        os.close(handle)


def prune_networks(app_context: AppContext, dataset_id: int) -> int:
    """Remove the networks of a dataset's older rounds, except those in use; return the bytes freed."""
    with app_context.database.read() as session:
        ended = [info for info in rounds.list_rounds(session, dataset_id) if info.status.ended]
    freed, left = 0, app_context.settings.keep_rounds
    for info in ended:
        folder = app_context.own_round_folder(info.id)
        if not _keeps_networks(app_context, info, folder):
            continue
        if info.status is JobStatus.DONE and left > 0:
            left -= 1
        elif (handle := try_lock(_lock(app_context, info))) is not None:
            freed += drop_networks(folder)
            if (store := app_context.shared) is not None:
                forget_networks(store, info.id)
            _lock(app_context, info).unlink(missing_ok=True)
            os.close(handle)
    return freed


def _keeps_networks(app_context: AppContext, info: RoundInfo, folder: Path) -> bool:
    if folder.is_dir() and keeps_networks(folder):
        return True
    store = app_context.shared
    return store is not None and shares_networks(store, info.id)


def _refuse_others(app_context: AppContext, chosen: RoundNetworks) -> None:
    """Check that the networks have the hashes in the database."""
    with app_context.database.read() as session:
        runs = rounds.folds_of(session, chosen.round.id)
    found = {kept.hash for kept in chosen.networks}
    config = RoundConfig.from_json(chosen.round.config)
    for number in range(len(config.networks) if config.members else 0):  # some of them are not the round's mix
        own = network_folder(app_context.round_folder(chosen.round.id), number)
        if sum(kept.folder == own for kept in chosen.predicting) != config.folds:
            raise RoundError(
                f"{chosen.round.name} mixes {len(config.networks)} networks, and network {number + 1} is not kept "
                "whole",
                "choose another round",
            )
    for run in runs:
        if run.model_hash is not None and run.model_hash not in found:
            raise RoundError(
                f"{app_context.round_folder(chosen.round.id)} has lost the network {run.model_hash} of fold "
                f"{run.fold + 1}",
                f"put fold_{run.fold}.safetensors and fold_{run.fold}.network.json back from a copy, "
                "or choose another round",
            )


def _coloured(app_context: AppContext, chosen: RoundNetworks) -> RoundNetworks:
    """Return the networks, with the colours of the dataset's classes if they have none."""
    with app_context.database.read() as session:
        info = datasets.get_dataset(session, chosen.round.dataset_id)
    colours = info.colours or ()
    networks = []
    for kept in chosen.networks:
        own = kept.about.colours or colours[: len(kept.about.classes)]
        networks.append(replace(kept, about=replace(kept.about, colours=own)))
    return RoundNetworks(chosen.round, networks)


def _none_kept(app_context: AppContext, known: list[RoundNetworks], number: int | None) -> RoundError:
    kept = app_context.settings.keep_rounds
    which = "no finished round keeps networks" if number is None else f"round {number} keeps no networks"
    others = ", ".join(str(one.round.number) for one in known)
    cure = f"choose one of the rounds {others}" if others else "start a new round"
    return RoundError(f"{which} (those of the newest {kept} are kept, see OUTFOLD_KEEP_ROUNDS)", cure)


def _lock(app_context: AppContext, info: RoundInfo) -> Path:
    return app_context.own_round_folder(info.id) / "networks.lock"
