"""fc7's command line: the commands of each room put together, errors turned into exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import typer

from extract.commands import register as register_extract
from models.commands import app as models_app
from models.errors import Fc7Error
from models.stopping import ends_always

# Without rich's markup the help of every command is plain text and a third of the start-up time.
app = typer.Typer(
    name="fc7",
    rich_markup_mode=None,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example:  fc7 extract imgs/ && fc7 fit --svm && fc7 classify new/",
)
app.add_typer(models_app, name="models")
register_extract(app)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(f"fc7 {version('fc7')}")
        except PackageNotFoundError:
            typer.echo("fc7, run from its source folder and not installed")
        raise typer.Exit


@app.callback()
def fc7(
    show_version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Print the version and stop."
    ),
) -> None:
    """Frozen AlexNet features once, an honest linear classifier in seconds.

    Three steps: extract (images to features.h5), fit (features to a classifier), classify (new images
    to predictions.csv). `fc7 demo` shows all of it on drawn shapes.
    """


def _complete(first: list[str]) -> None:
    """Put in stage two's commands, unless `first` is one of stage one's; then only the one it is.

    Typer prepares every command before it looks which one was called: a sixth of the start-up time.
    """
    if not _leave_out_all_but(first):
        from classify.commands import register as register_classify

        register_classify(app)
        _leave_out_all_but(first)


def _leave_out_all_but(first: list[str]) -> bool:
    """Whether there is such a command."""
    commands = [one for one in app.registered_commands if one.callback and [_name(one.callback)] == first]
    groups = [one for one in app.registered_groups if [one.name] == first]
    if commands or groups:
        app.registered_commands, app.registered_groups = commands, groups
    return bool(commands or groups)


def _name(command: Callable[..., object]) -> str:
    return command.__name__.replace("_", "-")


def main() -> None:
    """Run the command line; every error ends in one message and an exit code, none in a traceback."""
    with ends_always():
        _run()


def _run() -> None:
    _complete(sys.argv[1:2])
    try:
        app()
    except Fc7Error as exc:
        _fail(str(exc), exc.exit_code)
    except KeyboardInterrupt:
        _fail("stopped", 130)
    except BrokenPipeError:
        # The reader of our output went away (`| head`); nothing is left to say, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as exc:
        if os.environ.get("FC7_TRACEBACK"):
            raise
        _fail(
            f"fc7 met something it does not know: {type(exc).__name__}: {exc}. This is a fault of ours; "
            "FC7_TRACEBACK=1 shows where, please report it",
            1,
        )


def _fail(message: str, code: int) -> None:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
