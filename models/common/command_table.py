"""A group of commands that is a table; the module of a command is imported when that command is called.

::

    class Models(CommandTable):
        rows = {"show": ("fc7.models.commands", "show", "All about one network.", "models show alexnet")}

    app.add_typer(typer.Typer(cls=Models), name="models")
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, ClassVar, TypeVar

import typer
import typer.core

Row = tuple[str, str, str, str]
"""A command's module, its function there, its line in the group's help, and an example of its use."""

Function = TypeVar("Function", bound=Callable[..., None])


class CommandTable(typer.core.TyperGroup):
    """A group that imports only the command that is called.

    Attributes
    ----------
    rows : mapping of str to Row
        By the commands' names, in the order of the help.
    """

    rows: ClassVar[Mapping[str, Row]]

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        # These stand in help, completion and "Did you mean"; `resolve_command` gives the one that is called.
        listed = {
            name: typer.core.TyperCommand(name, help=line) for name, (_, _, line, _) in self.rows.items()
        }
        self.commands = {**listed, **self.commands}

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The name, the imported command and the arguments that are left."""
        name: Any
        name, command, rest = super().resolve_command(ctx, args)
        if name in self.rows:
            command = _imported(name, self.rows[name])
        return name, command, rest


def parsed_by(parser: type[typer.core.TyperCommand]) -> Callable[[Function], Function]:
    """Have the options of a command function parsed by a class of its own."""

    def mark(function: Function) -> Function:
        function.parser = parser  # type: ignore[attr-defined]
        return function

    return mark


def _imported(name: str, row: Row) -> Any:
    module, function_name, _, example = row
    function = getattr(import_module(module), function_name)
    # Without rich's markup the help of every command is plain text and a third of the start-up time.
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(name, cls=getattr(function, "parser", None), epilog=f"\b\nExample:  fc7 {example}")(function)
    return typer.main.get_command(app)
