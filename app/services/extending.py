"""Adding a network to a finished round: a new round with the old one's labels and what its networks learnt.

Only the added network is trained; the opinions of all are mixed anew. The old round stays as it is. What people have
decided since is no label of the new round, as it was none of the old one.
"""

from dataclasses import replace
from pathlib import Path

from app.services.starting import start_round
from app.services.workspace import Workspace
from core.config import Member, RoundConfig, refuse_members
from core.data.networks import network_folder
from core.data.snapshot import SNAPSHOT
from core.judge.fold_predictions import fold_file
from core.types import Recipe, RoundError, RoundStatus
from db.queries import rounds
from db.queries.rounds import RoundInfo

__all__ = ["add_network", "extended_round", "refuse_extension"]


def add_network(workspace: Workspace, round_id: int, member: Member, by: str) -> RoundInfo:
    """Start the round that adds this network to a finished one.

    Raises:
        RoundError: the round cannot be extended, or another one is unfinished.
        ConfigError: the network cannot work, or the round's labels are no classes.
    """
    with workspace.database.read() as session:
        info = rounds.get_round(session, round_id)
    before = RoundConfig.from_json(info.config)
    config = replace(before, members=(*before.members, member))
    refuse_members(config, info.recipe, info.task)
    refuse_extension(workspace, info, config)
    return start_round(workspace, info.dataset_id, config, by, recipe_config={"extends": info.number})


def extended_round(workspace: Workspace, info: RoundInfo) -> RoundInfo | None:
    """Return the round that another one extends, None where it extends none.

    Raises:
        RoundError: it is gone.
    """
    number = (info.recipe_config or {}).get("extends", 0) if info.recipe is Recipe.CROSS_FOLD else 0
    if not number:
        return None
    with workspace.database.read() as session:
        listed = rounds.list_rounds(session, info.dataset_id)
    found = next((one for one in listed if one.number == number and one.id != info.id), None)
    if found is None:
        raise RoundError(f"{info.dataset} has no round {number} that could be extended; start a new round")
    return found


def refuse_extension(workspace: Workspace, info: RoundInfo, config: RoundConfig) -> None:
    """Raise `RoundError` where a round of this config cannot go on from what another one's networks learnt."""
    if info.status is not RoundStatus.DONE or info.recipe is not Recipe.CROSS_FOLD:
        raise RoundError(
            f"{info.name} of {info.dataset} ({info.recipe}, {info.status}) cannot be extended; choose a finished "
            f"{Recipe.CROSS_FOLD} round"
        )
    before = RoundConfig.from_json(info.config)
    if config.networks[: len(before.networks)] != before.networks:
        raise RoundError(f"{info.name} trained other networks, or by other folds; start a new round with all of them")
    folder = workspace.round_folder(info.id)
    missing = [path for path in _learnt(folder, before) if not path.exists()]
    if missing:
        raise RoundError(
            f"{missing[0]} is gone, in which {info.name} kept what its network learnt; put it back from a copy, or "
            "start a new round with all networks"
        )


def _learnt(folder: Path, config: RoundConfig) -> list[Path]:
    """Return the files without which nothing can go on."""
    folds = range(config.folds)
    own = [network_folder(folder, number) for number in range(len(config.networks))]
    return [folder / SNAPSHOT, *(fold_file(one, fold) for one in own for fold in folds)]
