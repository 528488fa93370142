"""fc7's command line: the commands of each room put together, errors turned into exit codes."""

# Nothing is loaded before `main` is called, not even errno or __future__: Ctrl-C would end in a traceback.
# Python itself has loaded these two.
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    import typer

    from fc7.models.common.command_table import Row
    from fc7.models.common.progress import Notify
    from fc7.models.network.spec import NetworkSpec

# The module of a command is imported when the command is called, not for the help of all.
COMMANDS: "dict[str, Row]" = {
    # name: (module, function there, line in the help, example)
    "extract": (
        "fc7.extract.commands.extract",
        "extract",
        "Extract features of images, once.",
        "extract imgs/ --network alexnet --layer fc7 -o features.h5\n"
        "          fc7 extract imgs/ --label-by 1 --device cpu",
    ),
    "shapes": (
        "fc7.extract.commands.extract",
        "shapes",
        "Draw a small image set to try.",
        "shapes drawn/ --count 40 --seed 0\n          fc7 shapes more/ --count 100 --seed 1",
    ),
    "fit": (
        "fc7.classify.commands.fit",
        "fit",
        "Fit a classifier and evaluate it.",
        "fit --svm -C auto --test-size 0.3\n"
        "          fc7 fit features.h5 --layer auto --reject-precision 0.95 -o sure.onnx",
    ),
    "classify": (
        "fc7.classify.commands.classify",
        "classify",
        "Classify new images.",
        "classify new/ -o predictions.csv --top-k 3\n"
        "          fc7 classify new/ --html sheet.html --sort-into sorted/",
    ),
    "imagenet": (
        "fc7.classify.commands.imagenet",
        "imagenet",
        "Name ImageNet classes in images.",
        "imagenet photo.jpg --network alexnet --top-k 5\n          fc7 imagenet imgs/ -o imagenet.csv",
    ),
    "evaluate": (
        "fc7.classify.commands.evaluate",
        "evaluate",
        "Evaluate a classifier.",
        "evaluate labelled/ -m classifier.onnx --json\n"
        "          fc7 evaluate features.h5 --held-out --csv tables/",
    ),
    "compare": (
        "fc7.classify.commands.compare",
        "compare",
        "Compare two classifiers.",
        "compare a.onnx b.onnx features.h5\n          fc7 compare a.onnx b.onnx a.h5 --features-b b.h5",
    ),
    "choose": (
        "fc7.classify.commands.choose",
        "choose",
        "Choose a network by your own images.",
        "choose imgs/ --networks efficientnet-lite0,alexnet:pool5 --svm\n"
        "          fc7 choose imgs/ --networks all --csv networks.csv",
    ),
    "learning-curve": (
        "fc7.classify.commands.learning_curve",
        "learning_curve",
        "Measure if more images would help.",
        "learning-curve features.h5 --svm\n"
        "          fc7 learning-curve --softmax --repeats 10 --csv curve.csv",
    ),
    "export": (
        "fc7.classify.commands.export",
        "export",
        "Export a classifier as one file.",
        "export -m classifier.onnx -o full.onnx\n          fc7 export --card card.md",
    ),
    "duplicates": (
        "fc7.classify.commands.duplicates",
        "duplicates",
        "Find images that are one picture.",
        "duplicates features.h5 --csv duplicates.csv\n"
        "          fc7 duplicates --threshold 0.9 --copy doubles/",
    ),
    "report": (
        "fc7.classify.commands.report",
        "report",
        "Write one page about a classifier.",
        "report features.h5 -m classifier.onnx -o report.html\n"
        "          fc7 report --images imgs/ --plots plots/ --force",
    ),
    "suspects": (
        "fc7.classify.commands.suspects",
        "suspects",
        "Find labels that may be wrong.",
        "suspects features.h5 --csv fixes.csv\n          fc7 suspects --top 50 --copy wrong/",
    ),
    "similar": (
        "fc7.classify.commands.similar",
        "similar",
        "Find images that look like others.",
        "similar photo.jpg features.h5 -k 12\n          fc7 similar new/ --html similar.html",
    ),
    "next": (
        "fc7.classify.commands.next",
        "next_",
        "Choose the images to label next.",
        "next features.h5 -n 50 --csv todo.csv\n"
        "          fc7 next -n 20 --corrections done.csv --csv todo.csv --html todo.html",
    ),
    "watch": (
        "fc7.classify.commands.watch",
        "watch",
        "Classify images as they arrive.",
        "watch incoming/ -m classifier.onnx -o incoming.csv\n          fc7 watch incoming/ --once",
    ),
    "app": (
        "fc7.classify.commands.app",
        "app",
        "Label, train and correct in a browser.",
        "app imgs/\n          fc7 app imgs/ --network efficientnet-lite0 --port 8707 --no-open",
    ),
    "demo": (
        "fc7.classify.commands.classify",
        "demo",
        "Try all of it on drawn shapes.",
        "demo other-shapes --seed 1\n          fc7 demo --quiet",
    ),
}
MODELS: "dict[str, Row]" = {
    "list": (
        "fc7.models.commands",
        "list_networks",
        "List the networks to choose from.",
        "models list\n          fc7 models list --json",
    ),
    "show": (
        "fc7.models.commands",
        "show",
        "Say everything about one network.",
        "models show alexnet --layers\n          fc7 models show efficientnet-lite0",
    ),
    "default": (
        "fc7.models.commands",
        "default",
        "Say which network --network means if it is not given, or choose another.",
        "models default googlenet\n          fc7 models default --unset",
    ),
    "pull": (
        "fc7.models.commands",
        "pull",
        "Download a network into the network store.",
        "models pull alexnet\n          fc7 models pull googlenet --quiet",
    ),
    "import": (
        "fc7.models.commands",
        "import_file",
        "Bring a network file into the network store.",
        "models import net.onnx --as mine --preprocess torch --layer pool5\n"
        "          fc7 models import lite.onnx --as lite --mean 127 --std 128 --layer pooled",
    ),
    "path": (
        "fc7.models.commands",
        "path",
        "Print the folder of the network store, or of a network.",
        "models path alexnet\n          fc7 models path",
    ),
    "verify": (
        "fc7.models.commands",
        "verify",
        "Check a network's files by the hashes recorded when it was saved.",
        "models verify alexnet\n          fc7 models verify alexnet --run",
    ),
    "remove": (
        "fc7.models.commands",
        "remove",
        "Delete a network from the network store.",
        "models remove alexnet\n          fc7 models remove mine",
    ),
    "bench": (
        "fc7.extract.commands.bench",
        "bench",
        "Measure how fast networks run on this machine.",
        "models bench alexnet --seconds 5\n          fc7 models bench --device cpu",
    ),
    "quantize": (
        "fc7.classify.quantise.command",
        "quantize",
        "Make a network in 8-bit integers of one in the network store.",
        "models quantize alexnet --images imgs/\n"
        "          fc7 models quantize googlenet --images imgs/ --as googlenet-signs --layer pool5",
    ),
}
CACHE: "dict[str, Row]" = {
    "info": (
        "fc7.extract.commands.cache",
        "info",
        "Describe a feature cache: network, layers, rows, labels, failures, how each run made it.",
        "cache info features.h5\n          fc7 cache info features.h5 --json",
    ),
    "verify": (
        "fc7.extract.commands.cache",
        "verify",
        "Read every checksum, count rows and failures, and with --images say what changed since.",
        "cache verify features.h5 --images imgs/\n          fc7 cache verify features.h5 --quiet",
    ),
    "merge": (
        "fc7.extract.commands.cache",
        "merge",
        "Put the rows of two feature caches of one network into a third; an image in both counts once.",
        "cache merge monday.h5 tuesday.h5 -o week.h5\n"
        "          fc7 cache merge old.h5 new.h5 -o both.h5 --force",
    ),
    "to-npz": (
        "fc7.extract.commands.cache",
        "to_npz",
        "Write features and columns as NumPy arrays, for tools that do not read HDF5.",
        "cache to-npz features.h5 -o features.npz\n"
        "          fc7 cache to-npz features.h5 --layer fc6 -o fc6.npz",
    ),
    "to-parquet": (
        "fc7.extract.commands.cache",
        "to_parquet",
        "Write features and columns as a Parquet file, for Spark, DuckDB, Polars and pandas.",
        "cache to-parquet features.h5 -o features.parquet\n"
        "          fc7 cache to-parquet features.h5 --layer fc6 -o fc6.parquet",
    ),
}


def application() -> "typer.Typer":
    """The command line."""
    import typer

    from fc7.models.common.command_table import CommandTable

    if "_FC7_COMPLETE" in os.environ:
        # A shell asks for completions. Typer knows shells only where its options to install them are shown.
        from typer.completion import completion_init  # type: ignore[attr-defined]

        completion_init()

    class Commands(CommandTable):
        rows = COMMANDS

    class ModelsCommands(CommandTable):
        rows = MODELS

    class CacheCommands(CommandTable):
        rows = CACHE

    # Without color Click would drop escape sequences from names, where `models.common.terminal` shows them.
    app = typer.Typer(
        name="fc7",
        cls=Commands,
        rich_markup_mode=None,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "color": True},
        epilog="Example:  fc7 extract imgs/ && fc7 fit --svm && fc7 classify new/",
    )
    app.add_typer(
        typer.Typer(cls=ModelsCommands, no_args_is_help=True),
        name="models",
        help="Manage networks: list, fetch, import, measure them.",
        context_settings={"obj": _try_network},
    )
    app.add_typer(
        typer.Typer(cls=CacheCommands, no_args_is_help=True),
        name="cache",
        short_help="Describe, check or convert a cache.",
        help="Describe a feature cache, check it, merge two, convert it for other tools.",
    )

    @app.callback()
    def fc7(
        show_version: bool = typer.Option(
            False,
            "--version",
            "-V",
            callback=_show_version,
            is_eager=True,
            help="Print the version and stop.",
        ),
    ) -> None:
        """Transfer learning for images: features of a frozen network once, a linear probe in seconds.

        Three steps: extract (images to features.h5), fit (features to a classifier), classify (new images
        to predictions.csv). `fc7 demo` shows all of it on drawn shapes.
        """

    return app


def _try_network(graph_path: "Path", spec: "NetworkSpec", notify: "Notify") -> None:
    # `models` has no engine of its own; those of its commands that bring a network try it with this.
    from fc7.extract.engine.trial import try_network

    try_network(graph_path, spec, notify)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        import typer

        try:
            typer.echo(f"fc7 {version('fc7')}")
        except PackageNotFoundError:
            typer.echo("fc7, run from its source folder and not installed")
        raise typer.Exit


def main() -> None:
    """Run the command line; every error ends in one message and an exit code, none in a traceback."""
    try:
        from fc7.models.common.interrupts import hold_interrupts, let_ctrl_c_end
        from fc7.models.common.stopping import ends_always

        hold_interrupts()
        try:
            with ends_always():
                _run()
        finally:
            let_ctrl_c_end()
    except KeyboardInterrupt:
        _fail("stopped", 130)


def _run() -> None:
    import errno

    from fc7.models.common.errors import Fc7Error
    from fc7.models.common.terminal import guard, take_every_name

    take_every_name()
    guard()
    try:
        application()()
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
            _fail("memory or threads ran out; end other programs, or take less with -j and -b", 1)
        _fail(
            f"fc7 met an error it does not know: {type(exc).__name__}: {exc}. The fault is fc7's; "
            "FC7_TRACEBACK=1 shows where, please report it",
            1,
        )


def _stopped() -> None:
    """End after Ctrl-C that no command saw to, saying what became of its outputs."""
    from fc7.models.outputs.outputs import what_was_written

    _fail("; ".join(filter(None, ("stopped", what_was_written()))), 130)


def _fail(message: str, code: int) -> None:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    # A checkout runs its own code, whatever fc7 is installed. `Path` would load modules too early for Ctrl-C.
    folder = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120
    sys.path.insert(0, os.path.join(folder, ".package"))  # noqa: PTH118
    main()
