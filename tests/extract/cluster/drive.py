"""A run on a cluster whose images may end those who read them: ``python -m tests.extract.cluster.drive``."""

from __future__ import annotations

import sys

from extract.cluster.options import ClusterOptions
from extract.inputs import list_inputs
from extract.options import ExtractOptions
from extract.pipeline import extract_features
from models.errors import Fc7Error
from tests.extract.cluster.origins import with_lethal


def main(images: str, out: str, address: str, share: str, *lethal: str) -> None:
    """Extract `images` to `out` on the cluster at `address`; `share` is "shared" or "apart"."""
    cluster = ClusterOptions(address, share_folder=share == "shared")
    options = ExtractOptions(network="tiny", batch_size=8, cluster=cluster)
    try:
        extract_features(
            with_lethal(list_inputs([images]), lethal),
            out,
            options,
            notify=lambda note: print(note, file=sys.stderr),
        )
    except Fc7Error as exc:
        print(f"error: {exc}", file=sys.stderr)
        sys.exit(exc.exit_code)


if __name__ == "__main__":
    main(*sys.argv[1:])
