"""A run on a cluster whose images may end those who read them, or be slow to read.

``python -m tests.extract.cluster.drive IMAGES OUT ADDRESS shared|apart|slow [LETHAL...]``
"""

from __future__ import annotations

import sys

from fc7.extract.inputs.listing import list_inputs
from fc7.extract.options import ClusterOptions, ExtractOptions
from fc7.extract.pipeline import extract_features
from fc7.models.common.errors import Fc7Error
from tests.extract.cluster.origins import SlowOrigin, seen_through, with_lethal


def main(images: str, out: str, address: str, share: str, *lethal: str) -> None:
    """Extract `images` to `out` on the cluster at `address`."""
    cluster = ClusterOptions(address, workers=1 if share == "slow" else None, share_folder=share != "apart")
    listing = list_inputs([images])
    if share == "slow":
        listing = seen_through(listing, lambda origin: SlowOrigin(origin, 0.2))
    options = ExtractOptions(network="tiny", batch_size=8, cluster=cluster)
    try:
        extract_features(
            with_lethal(listing, lethal) if lethal else listing,
            out,
            options,
            notify=lambda note: print(note, file=sys.stderr),
        )
    except Fc7Error as exc:
        print(f"error: {exc}", file=sys.stderr)
        sys.exit(exc.exit_code)


if __name__ == "__main__":
    main(*sys.argv[1:])
