"""fc7's command line: the commands of each room put together, errors turned into exit codes."""

# Nothing is loaded before `main` is called, not even typing or __future__: Ctrl-C would end in a traceback.
import errno
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    import typer


def application(first: list[str]) -> "typer.Typer":
    """The command line.

    Parameters
    ----------
    first : list of str
        The first argument, if there is one. If it is the name of a command, only that one is put in:
        Typer prepares every command before it looks which one was called, a sixth of the start-up time.
    """
    import typer

    from extract.commands import register as register_extract
    from extract.commands import try_network
    from models.commands import app as models_app

    # Without rich's markup the help of every command is plain text and a third of the start-up time. Without
    # color Click would drop escape sequences from names, where `models.terminal` shows them.
    app = typer.Typer(
        name="fc7",
        rich_markup_mode=None,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "color": True},
        epilog="Example:  fc7 extract imgs/ && fc7 fit --svm && fc7 classify new/",
    )
    app.add_typer(models_app, name="models", context_settings={"obj": try_network})
    register_extract(app)

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

    if not _leave_out_all_but(first, app):
        from classify.commands import register as register_classify

        register_classify(app)
        _leave_out_all_but(first, app)
    return app


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        import typer

        try:
            typer.echo(f"fc7 {version('fc7')}")
        except PackageNotFoundError:
            typer.echo("fc7, run from its source folder and not installed")
        raise typer.Exit


def _leave_out_all_but(first: list[str], app: "typer.Typer") -> bool:
    """Whether there is such a command."""
    commands = [one for one in app.registered_commands if one.callback and [_name(one.callback)] == first]
    groups = [one for one in app.registered_groups if [one.name] == first]
    if commands or groups:
        app.registered_commands, app.registered_groups = commands, groups
    return bool(commands or groups)


def _name(command: "Callable[..., object]") -> str:
    return command.__name__.replace("_", "-")


def main() -> None:
    """Run the command line; every error ends in one message and an exit code, none in a traceback."""
    try:
        from models.interrupts import hold_interrupts, let_ctrl_c_end
        from models.stopping import ends_always

        hold_interrupts()
        try:
            with ends_always():
                _run()
        finally:
            let_ctrl_c_end()
    except KeyboardInterrupt:
        _fail("stopped", 130)


def _run() -> None:
    from models.errors import Fc7Error
    from models.terminal import guard, take_every_name

    take_every_name()
    guard()
    try:
        application(sys.argv[1:2])()
    except Fc7Error as exc:
        _fail(str(exc), exc.exit_code)
    except KeyboardInterrupt:
        _stopped()
    except SystemExit as exc:
        # Typer ends so after Ctrl-C, without a word.
        if exc.code == 130:
            _stopped()
        raise
    except BrokenPipeError:
        # The reader of our output went away (`| head`); nothing is left to say, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as exc:
        if os.environ.get("FC7_TRACEBACK"):
            raise
        if isinstance(exc, OSError) and exc.errno in (errno.ENOSPC, errno.EDQUOT):
            # What a file is written with says so itself: this is stdout, sent to a disk without room.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            _fail(f"stdout: cannot be written ({exc.strerror}); free the disk or send it elsewhere", 1)
        # The second is what CPython says where the system starts no more threads.
        if isinstance(exc, MemoryError) or str(exc) == "can't start new thread":
            _fail("memory or threads ran out; end what else takes them, or ask for less with -j and -b", 1)
        _fail(
            f"fc7 met something it does not know: {type(exc).__name__}: {exc}. This is a fault of ours; "
            "FC7_TRACEBACK=1 shows where, please report it",
            1,
        )


def _stopped() -> None:
    """End after Ctrl-C that no command saw to, saying what became of its outputs."""
    from models.outputs import what_was_written

    _fail("; ".join(filter(None, ("stopped", what_was_written()))), 130)


def _fail(message: str, code: int) -> None:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
