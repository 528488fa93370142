"""A group of commands that is a table; the module of a command is imported when that command is called.

::

    class Models(CommandTable):
        rows = {"show": ("fc7.models.commands", "show", "All about one network.", "models show alexnet")}

    app.add_typer(typer.Typer(cls=Models), name="models")
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, ClassVar, TypeVar, get_type_hints

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


def unpacked(command: Callable[..., None]) -> Callable[..., None]:
    """A command with the fields of its dataclass parameters in their place, as Typer reads a signature."""
    signature = inspect.signature(command, eval_str=True)
    groups: dict[str, Any] = {}
    parameters: list[inspect.Parameter] = []
    for name, parameter in signature.parameters.items():
        if not dataclasses.is_dataclass(parameter.annotation):
            parameters.append(parameter)
            continue
        groups[name] = parameter.annotation
        hints = get_type_hints(parameter.annotation, include_extras=True)
        parameters += [
            inspect.Parameter(field.name, parameter.kind, default=field.default, annotation=hints[field.name])
            for field in dataclasses.fields(parameter.annotation)
        ]

    @functools.wraps(command)
    def run(**given: Any) -> None:
        for name, kind in groups.items():
            given[name] = kind(**{field.name: given.pop(field.name) for field in dataclasses.fields(kind)})
        command(**given)

    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


# Options of a name stand in one section of the help of every command. The others stand first: they are what
# most calls need.
_SECTIONS: Mapping[str, tuple[str, ...]] = {
    "Speed and device": (
        *("device", "precision", "batch_size", "jobs", "exact_decode"),
        *("ray", "workers", "gpus_per_worker", "memory", "seconds"),
    ),
    "How images are prepared": (
        *("resize", "antialias", "crops", "pool", "float16", "mean", "std", "scale", "order", "crop"),
        *("interpolation", "preprocess"),
    ),
    "Labels and splits": (
        *("labels", "group_by", "label_by", "split", "ordered", "per_class", "balance", "keep_split"),
        *("include", "exclude", "duplicates", "test_size", "seed", "split_csv", "held_out", "corrections"),
    ),
    "Learning": (
        *("normalize", "one_se", "class_weight", "refit_all", "reject_precision", "reject_below"),
        *("ovo", "repeats", "threshold"),
    ),
    "Failures and repair": (
        *("on_error", "max_failures", "retry_failed", "verify", "repair", "remove_missing", "failures_csv"),
    ),
    "What is printed": ("as_json", "verbose", "quiet", "help"),
}


# Typer's words for what an option takes, and ours; choices show what there is to choose.
_METAVARS = {
    "<path>": "FILE",
    "<str>": "TEXT",
    "<list[str]>": "TEXT",
    "<int>": "N",
    "<int range>": "N",
    "<float>": "NUMBER",
    "<float range>": "NUMBER",
}
_TYPES = re.compile("|".join(map(re.escape, _METAVARS)))


class SectionedCommand(typer.core.TyperCommand):
    """A command whose help has its options in sections, those that most calls need first."""

    def __init__(self, *arguments: Any, **attributes: Any) -> None:
        super().__init__(*arguments, **attributes)
        for parameter in self.params:
            if parameter.param_type_name == "argument" and parameter.metavar is None:
                parameter.metavar = (parameter.name or "").upper()

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the sections that have options."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        sections |= {title: [] for title in _SECTIONS}
        for option in self.get_params(ctx):
            record = option.get_help_record(ctx)
            if record is not None:
                sections[_section(option)].append(_in_our_words(option, *record))
        for title, records in sections.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def _in_our_words(option: Any, name: str, text: str) -> tuple[str, str]:
    if option.param_type_name == "argument":
        return name.partition(" <")[0], text
    return _TYPES.sub(lambda found: _METAVARS[found[0]], name), text


def _section(option: Any) -> str:
    if option.param_type_name == "argument":
        return "Arguments"
    titles = (title for title, names in _SECTIONS.items() if option.name in names)
    return next(titles, "Options")


def _imported(name: str, row: Row) -> Any:
    module, function_name, _, example = row
    function = getattr(import_module(module), function_name)
    # Without rich's markup the help of every command is plain text and a third of the start-up time.
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(
        name, cls=getattr(function, "parser", SectionedCommand), epilog=f"\b\nExample:  fc7 {example}"
    )(function)
    return typer.main.get_command(app)
