"""Which round the review page shows. Address: `review?round=3`, or `review?dataset=1` for its newest."""

from collections.abc import Collection, Sequence

from app.components.picker import asked, instead, named, remembered, warn_over
from app.services.rounds import RoundInfo


def wanted_round(known: Sequence[RoundInfo], datasets: Collection[int]) -> RoundInfo | None:
    """Return the round the address names, else the newest finished one, else the newest; of the dataset at hand.

    `known` are all rounds, newest first, `datasets` the ids of all datasets. Of what is not there a warning tells.
    """
    wanted = next((info for info in known if info.id == asked("round")), None)
    dataset = asked("dataset") or remembered("dataset")
    at_hand = [info for info in known if info.dataset_id == dataset]
    if not at_hand and asked("dataset") not in datasets:
        at_hand = list(known)
    finished = next((info for info in at_hand if info.is_reviewable), None)
    chosen = wanted or finished or next(iter(at_hand), None)
    found = {"round": wanted is not None, "dataset": wanted is not None or asked("dataset") in datasets}
    missing = next((name for name, is_there in found.items() if named(name) and not is_there), None)
    if missing is not None and chosen is not None:
        reason = f"There is no {missing} {named(missing)} to show"
        warn_over(instead(reason, f"{chosen.name} of {chosen.dataset}"))
    return chosen
