"""Bring a network of one's own into the store, tried as the command line does it."""

from __future__ import annotations

from functools import partial

from fc7.extract.engine.trial import try_network
from fc7.models.store import importing

import_network = partial(importing.import_network, trial=try_network)
"""`models.store.importing.import_network` that tries the network before it enters the store."""
