"""A run some of whose images end the process: ``python -m tests.support.extract.deadly FOLDER OUT HOW
[PATH...]``.

``reading``: whoever reads one of the paths is killed. ``lying``: no image is believed what its header says,
so the kernel ends what takes too much.
"""

from __future__ import annotations

import sys

from fc7.extract.images.budget import Budget
from fc7.extract.inputs.listing import list_inputs
from fc7.extract.options import ExtractOptions
from fc7.extract.pipeline import extract_features
from fc7.models.common.errors import Fc7Error
from tests.extract.cluster.origins import with_lethal


def main(folder: str, out: str, how: str, *paths: str) -> None:
    listing = list_inputs([folder])
    if how == "lying":
        Budget._admits = lambda *_: True  # type: ignore[method-assign]
    else:
        listing = with_lethal(listing, paths)
    try:
        options = ExtractOptions(network="tiny", jobs=4, batch_size=4)
        summary = extract_features(listing, out, options, notify=lambda note: print(note, file=sys.stderr))
    except Fc7Error as exc:
        print(f"error: {exc}", file=sys.stderr)
        sys.exit(exc.exit_code)
    for failure in summary.failures:
        print(failure.path, failure.mtime_ns, failure.reason, sep="\t")


if __name__ == "__main__":
    main(*sys.argv[1:])
