"""How the pipeline grows with its data: seconds, CPU seconds and peak memory, as the tables of docs/scaling.md.

in   ../shared/data/     real data; N times it is N copies with ids and days of their own

Every program is a process of its own, timed from its start to its end, with the peak memory of it and its children.
CPU seconds do not depend on neighbours; seconds do. Prints ratios last: they carry over to other machines.

python -m benchmarks.scale                       some minutes
python -m benchmarks.scale --only aggregation    one part of it
python -m benchmarks.scale --full                the largest sizes, too: half an hour
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Final

from benchmarks import scale_training
from benchmarks.nba import scale_aggregation

# Each prints its tables; its argument is --full.
PARTS: Final[dict[str, Callable[[bool], None]]] = {
    "aggregation": scale_aggregation.main,
    "training": scale_training.main,
}


def main() -> None:
    """Run the parts that are wanted, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", choices=list(PARTS), help="one part instead of all")
    parser.add_argument("--full", action="store_true", help="the largest sizes, too: half an hour, and 10 GB of disk")
    options = parser.parse_args()
    for name, part in PARTS.items():
        if options.only in (None, name):
            part(options.full)


if __name__ == "__main__":
    main()
