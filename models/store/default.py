"""The network that is meant where none is named: FC7_NETWORK, else a line in the store, else AlexNet.

::

    <root>/default-network      one line: a network's name, written by `models default NAME`
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fc7.models.common.durable import explained, write_whole
from fc7.models.common.errors import UnknownNetworkError, UsageError
from fc7.models.common.program import command_line
from fc7.models.store import store

BUILT_IN = "alexnet"
VARIABLE = "FC7_NETWORK"
FILE = "default-network"


@dataclass(frozen=True, slots=True)
class DefaultNetwork:
    """The network that is meant where none is named, and who says so.

    Attributes
    ----------
    chosen_by : {"environment", "store", "fc7"}
        The variable FC7_NETWORK, the store's file, or nobody, and then it is fc7's own.
    """

    name: str
    chosen_by: Literal["environment", "store", "fc7"]

    @property
    def why(self) -> str:
        """Who says so, for a sentence: ``FC7_NETWORK``, the file's path, or empty for fc7's own."""
        return {"environment": VARIABLE, "store": str(default_file()), "fc7": ""}[self.chosen_by]

    @property
    def reason(self) -> str:
        """Who says so, as a clause of its own."""
        if self.why:
            return f"by {self.why}"
        return f"as nobody chose another, by {VARIABLE} or `{command_line('models', 'default', 'NAME')}`"

    @property
    def called(self) -> str:
        """``the default`` with who says so, for a sentence."""
        return f"the default by {self.why}" if self.why else "the default"


def default_network() -> DefaultNetwork:
    """The network that is meant where none is named; it need not be in the store yet.

    Raises
    ------
    UsageError
        If what was chosen is no network of the store or of the catalogue; the text says where it was
        chosen, and how to choose another.
    """
    chosen = chosen_default()
    if chosen.name in store.names():
        return chosen
    # It brings the catalogue, which a network of the store does not need.
    from fc7.models.store.availability import check_known

    try:
        check_known(chosen.name)
    except UnknownNetworkError as exc:
        if chosen.chosen_by == "environment":
            remedy = f"set {VARIABLE} to another name, or unset it"
        else:
            remedy = f"`{command_line('models', 'default', '--unset')}` takes it away"
        raise UnknownNetworkError(f"{chosen.name!r} is {chosen.called}, but {exc}; {remedy}") from exc
    return chosen


def chosen_default() -> DefaultNetwork:
    """As `default_network`, without looking whether there is such a network."""
    if variable := os.environ.get(VARIABLE, "").strip():
        return DefaultNetwork(variable, "environment")
    kept = _kept()
    return DefaultNetwork(BUILT_IN, "fc7") if kept is None else DefaultNetwork(kept, "store")


def called_default(name: str) -> str:
    """``, the default,`` with who chose it, to follow a network's name; empty for another. Never an error."""
    try:
        chosen = chosen_default()
    except UsageError:
        return ""
    return f", {chosen.called}," if chosen.name == name else ""


def shown_default() -> str:
    """The default for help: its name, and who chose it where somebody did; never an error."""
    try:
        chosen = chosen_default()
    except UsageError:
        return f"see `{command_line('models', 'default')}`"
    return f"{chosen.name} (by {chosen.why})" if chosen.why else chosen.name


def default_file() -> Path:
    """Where the store keeps its default."""
    return store.store_root() / FILE


def keep_default(name: str) -> Path:
    """Make a network the default of everybody who uses this store; returns the file that says so.

    Raises
    ------
    UnknownNetworkError
        If neither the store nor the catalogue has it.
    Fc7Error
        If the store cannot be written.
    """
    from fc7.models.store.availability import check_known

    check_known(name)
    path = default_file()
    with explained(path, "FC7_HOME"):
        path.parent.mkdir(parents=True, exist_ok=True)
        return write_whole(path, f"{name}\n".encode())


def forget_default() -> bool:
    """Take the store's default away; whether it had one.

    Raises
    ------
    Fc7Error
        If the store cannot be written.
    """
    path = default_file()
    with explained(path, "FC7_HOME"):
        try:
            path.unlink()
        except (FileNotFoundError, NotADirectoryError):
            return False
    return True


def _kept() -> str | None:
    """The name in the store's file; None without a file."""
    path = default_file()
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as exc:
        raise UsageError(
            f"{path}: cannot be read ({exc}); delete it or write a network's name into it"
        ) from exc
    return text
