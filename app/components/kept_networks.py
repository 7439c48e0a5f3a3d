"""The networks a round keeps, and the command that asks them about new images."""

import shlex

import pandas as pd
import streamlit as st

from app.services.networks import OfRound
from core.data.export.predicted import suffixes_for


def kept_networks(kept: OfRound, key: str) -> None:
    """Draw the networks of a round with their hashes, and how to predict with those that are asked."""
    if not kept.networks:
        st.caption("Its networks are not kept (any more): those of the newest rounds are.")
        return
    rows = [
        {
            "Network": one.full_name,
            "Hash": one.hash,
            "MB": one.bytes / 1e6,
            "Accuracy": one.about.accuracy,
            "mIoU": one.about.mean_iou,
        }
        for one in kept.networks
    ]
    columns = {
        "MB": st.column_config.NumberColumn(format="%.1f"),
        "Accuracy": st.column_config.NumberColumn(format="percent", help="on held-out images"),
        "mIoU": st.column_config.NumberColumn(format="percent", help="on held-out images"),
    }
    known = pd.DataFrame(rows).dropna(axis="columns", how="all")
    st.dataframe(known, column_config=columns, hide_index=True, key=key, alt="the networks that are kept")
    if kept.asked:
        st.caption("Ask them about new images:")
        st.code(command(kept), language=None, wrap_lines=True)


def command(kept: OfRound) -> str:
    """Return the command that asks the round's networks about a folder of images."""
    target = "predicted.csv" if suffixes_for(kept.asked[0].about.task) else "predicted-masks"
    return f"python -m app predict {shlex.quote(kept.round.dataset)} FOLDER --to {target} --round {kept.round.number}"
