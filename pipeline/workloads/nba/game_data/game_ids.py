"""Which game a row belongs to: its `game_id`, or where it has none the id of its day and teams.

Since 1984 no two teams have met twice in a day, so there the day and the teams are the game, whatever its ids say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.workloads.nba import columns as n

ONE_GAME_A_DAY_SINCE: Final = 1984  # the last double-headers were played before

KEY: Final = "key"  # number of the game that a row belongs to
SLOT: Final = "slot"  # number of its day and pair of franchises
OWN_ID: Final = "own_id"  # whether the row itself carries the id


@dataclass(frozen=True)
class IdentifiedRows:
    """Rows with n.GAME_ID filled, KEY, SLOT and OWN_ID; apart, rows without id on a day whose games carry several."""

    rows: pd.DataFrame
    ambiguous: pd.DataFrame
    n_plans_renamed: int  # scheduled games that took the id of their result


def identify(parsed: pd.DataFrame) -> IdentifiedRows:
    """Find the game of each row."""
    own_id = (parsed[n.GAME_ID] != "").to_numpy()
    rows = parsed.assign(**{SLOT: slots(parsed), OWN_ID: own_id})
    n_plans_renamed = _rename_plans(rows) if own_id.any() else 0
    ids = rows.loc[own_id, [SLOT, n.GAME_ID]].drop_duplicates()
    n_ids = rows[SLOT].map(ids[SLOT].value_counts()).fillna(0).to_numpy() if len(ids) else np.zeros(len(rows))
    ambiguous, adopts, derives = ~own_id & (n_ids > 1), ~own_id & (n_ids == 1), ~own_id & (n_ids == 0)
    if adopts.any():
        id_of_slot = ids.drop_duplicates(SLOT).set_index(SLOT)[n.GAME_ID]
        rows.loc[adopts, n.GAME_ID] = rows.loc[adopts, SLOT].map(id_of_slot)
    if derives.any():
        rows[n.GAME_ID] = rows[n.GAME_ID].where(~derives, _derived_ids(rows[derives]))
    rows[KEY] = pd.factorize(rows[n.GAME_ID])[0]
    return IdentifiedRows(rows[~ambiguous], rows[ambiguous], n_plans_renamed)


def _rename_plans(rows: pd.DataFrame) -> int:
    """Give a scheduled game the id of the one result of its day and teams, if its own id has no result anywhere."""
    played = rows[n.HOME_POINTS].notna() & rows[OWN_ID]
    results = rows.loc[played, [SLOT, n.GAME_ID]].drop_duplicates()
    plans = rows[~played & rows[OWN_ID] & (rows[n.SEASON] >= ONE_GAME_A_DAY_SINCE)]
    plans = plans[~plans[n.GAME_ID].isin(results[n.GAME_ID])]
    id_of_slot = results.drop_duplicates(SLOT, keep=False).set_index(SLOT)[n.GAME_ID]
    new_ids = plans[SLOT].map(id_of_slot).dropna()
    rows.loc[new_ids.index, n.GAME_ID] = new_ids
    return len(new_ids)


def _derived_ids(rows: pd.DataFrame) -> pd.Series[str]:
    """Day, home and away franchise; rows that swap home and away get one and the same id, or they would never meet."""
    # Each day and each team is written once: there are many games of both.
    day, days = pd.factorize(rows[n.DATE].to_numpy().astype("datetime64[D]"))
    texts = np.datetime_as_string(days).astype(object)[day]
    for side in n.FRANCHISES:
        teams = "-" + rows[side].cat.categories.to_numpy(dtype=object)
        texts = texts + teams[rows[side].cat.codes.to_numpy()]
    ids = pd.Series(texts, rows.index, dtype="str")
    shared = rows[SLOT].duplicated(keep=False)
    if shared.any():
        ids = ids.mask(shared, ids[shared].groupby(rows.loc[shared, SLOT]).transform("min"))
    return ids


def slots(parsed: pd.DataFrame) -> npt.NDArray[np.int64]:
    """A number for each day and pair of franchises, whichever is at home."""
    home, away = (parsed[side].cat.codes.to_numpy(np.int64) for side in n.FRANCHISES)
    n_franchises = len(parsed[n.HOME_FRANCHISE].cat.categories)
    days = parsed[n.DATE].to_numpy().astype("datetime64[D]").astype(np.int64)
    return (days * n_franchises + np.minimum(home, away)) * n_franchises + np.maximum(home, away)
