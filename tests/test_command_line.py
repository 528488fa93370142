"""Wrong calls, help, and what a program reads: exit codes and JSON."""

from __future__ import annotations

import importlib.util
import inspect
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner

import fc7
from fc7.cli import CACHE, COMMANDS, MODELS, application
from tests.support import ROOT, CommandLine, command, read_json, write_pictures


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    here = CommandLine(tmp_path_factory.mktemp("cli")).with_tiny_network()
    write_pictures(here.folder / "imgs", per_class=4)
    here.good("extract", "imgs", "--network", "tiny")
    return here


SAYS_WHAT_IT_LOADED = """
import atexit, sys
atexit.register(lambda: print(*sys.modules, file=sys.stderr))
from fc7.cli import main
main()
"""


def loaded_by(*arguments: str, store: Path | None = None) -> set[str]:
    ran = subprocess.run(
        [sys.executable, "-c", SAYS_WHAT_IT_LOADED, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)} | ({} if store is None else {"FC7_HOME": str(store)}),
        capture_output=True,
        text=True,
        check=True,
    )
    return set(ran.stderr.splitlines()[-1].split())


def test_help_loads_nothing_heavy() -> None:
    loaded = {name.split(".")[0] for name in loaded_by("--help")}
    assert "typer" in loaded
    assert not loaded & {"numpy", "h5py", "onnx", "onnxruntime", "sklearn", "PIL", "rich", "scipy"}


def test_a_fit_on_few_images_does_not_wait_for_scikit_learn(cli: CommandLine) -> None:
    out = str(cli.folder / "few.onnx")
    loaded = loaded_by("fit", str(cli.folder / "features.h5"), "--svm", "-C", "1", "-o", out, store=cli.store)
    assert "fc7.classify.fit.solvers.few_rows" in loaded
    assert not {name.split(".")[0] for name in loaded} & {"sklearn", "scipy"}


@pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="openvino is not installed")
@pytest.mark.usefixtures("every_device")
def test_on_another_device_openvino_is_not_loaded(cli: CommandLine) -> None:
    arguments = ("extract", str(cli.folder / "imgs"), "--network", "tiny", "--device", "cpu")
    loaded = loaded_by(*arguments, "-o", str(cli.folder / "cpu.h5"), store=cli.store)
    assert "onnxruntime" in loaded
    assert "openvino" not in loaded


# What `main` itself needs, before it knows which command is called, and the table.
ALWAYS = {
    f"fc7.models.common.{name}" for name in ("command_table", "errors", "interrupts", "stopping", "terminal")
}
ALWAYS |= {"fc7", "fc7.cli", "fc7.models", "fc7.models.common"}


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["models", "--help"], ["cache", "--help"]])
def test_the_help_of_all_commands_loads_none(arguments: list[str]) -> None:
    assert {name for name in loaded_by(*arguments) if name.split(".")[0] == "fc7"} == ALWAYS


def test_a_commands_help_loads_no_other_command() -> None:
    loaded = {name for name in loaded_by("cache", "info", "--help") if "command" in name}
    assert {name for name in loaded if name.split(".")[0] == "fc7"} == {
        "fc7.models.common.command_table",
        "fc7.extract.commands",
        "fc7.extract.commands.cache",
        "fc7.extract.commands.options",
    }


TABLES = {"": COMMANDS, "models": MODELS, "cache": CACHE}


@pytest.mark.parametrize(
    ("group", "name"), [(group, name) for group, table in TABLES.items() for name in table]
)
def test_what_the_table_says_of_a_command_is_so(group: str, name: str) -> None:
    module, function, line, example = TABLES[group][name]
    arguments = [*group.split(), name]
    shown = CliRunner().invoke(application(), [*arguments, "--help"], catch_exceptions=False)
    assert shown.exit_code == 0
    assert "\n\n  Example:  fc7 " + example.replace("\n", "\n  ") + "\n" in shown.output
    assert example.split()[: len(arguments)] == arguments
    if group:
        text = inspect.getdoc(getattr(importlib.import_module(module), function)) or ""
        assert " ".join(text.split()).startswith(line)


def shown_help(*arguments: str) -> str:
    return CliRunner().invoke(application(), [*arguments, "--help"], catch_exceptions=False).output


@pytest.mark.parametrize(
    ("group", "name"), [(group, name) for group, table in TABLES.items() for name in table]
)
def test_help_has_sections_two_examples_and_metavars_of_one_style(group: str, name: str) -> None:
    text = shown_help(*group.split(), name)
    assert len(re.findall(r"^ +(?:Example: )? *fc7 ", text, re.M)) == 2, text
    assert not re.findall(r"<(?:path|str|int|float|list)\b[^>]*>", text)
    assert text.index("What is printed:") > text.find("Options:")


def test_what_most_calls_need_comes_first() -> None:
    first = shown_help("fit").partition("Options:\n")[2].partition("\n\n")[0]
    assert re.findall(r"^  (-[^ ,]+)", first, re.M) == [
        "--svm",
        "--softmax",
        "-C",
        "--layer",
        "-o",
        "--force",
    ]


COMPLETES = """
import sys
sys.argv = ["fc7"]
from fc7.cli import main
main()
"""


@pytest.mark.skipif(os.name != "posix", reason="bash's completion")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("fc7 ", [*COMMANDS, "models", "cache"]),
        ("fc7 ex", ["extract", "export"]),
        ("fc7 models p", ["pull", "path"]),
        ("fc7 cache to", ["to-npz", "to-parquet"]),
        ("fc7 fit --so", ["--softmax"]),
        ("fc7 models import --rep", ["--replace"]),
    ],
)
def test_a_shell_completes_commands_and_options(typed: str, offered: list[str]) -> None:
    asked = {"_FC7_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    ran = subprocess.run(
        [sys.executable, "-c", COMPLETES],
        env={**os.environ, **asked, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.split() == offered


def test_a_mistyped_command_is_told_the_near_ones(cli: CommandLine) -> None:
    assert "Did you mean 'verify'?" in cli("cache", "verifi").err
    assert "'extract'" in cli("extrat").err


def test_cache_info_loads_neither_stage_two_nor_what_writes_a_cache(cli: CommandLine) -> None:
    loaded = loaded_by("cache", "info", str(cli.folder / "features.h5"))
    assert "fc7.extract.cache.format.header" in loaded
    assert "fc7.classify" not in loaded
    writes = {"commit.index", "format.columns", "format.lock", "format.sealed_writer"}
    writes = {f"fc7.extract.cache.{name}" for name in writes}
    assert all(map(importlib.util.find_spec, writes))
    assert not loaded & writes


def test_a_run_with_nothing_to_do_loads_neither_engine_nor_graphs_nor_the_web(cli: CommandLine) -> None:
    images, cache = cli.folder / "imgs", cli.folder / "features.h5"
    loaded = loaded_by("extract", str(images), "--network", "tiny", "-o", str(cache), store=cli.store)
    assert "fc7.extract.pipeline" in loaded
    assert not loaded & {"onnx", "onnxruntime", "PIL", "urllib.request", "http.client", "numpy.ma"}


def test_help_names_every_command_and_an_example() -> None:
    ran = subprocess.run(command(["--help"]), capture_output=True, text=True, check=True)
    for name in [*COMMANDS, "models", "cache"]:
        assert re.search(rf"^  {name} ", ran.stdout, re.M), name
    assert "Example:" in ran.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["extract"], "--labels"),
        (["extract", "no-such-folder", "--network", "tiny"], "no-such-folder"),
        (["extract", "imgs", "--network", "no-such-network"], "no-such-network"),
        (["extract", "imgs", "--network", "tiny", "--layer", "fc9", "-o", "x.h5"], "fc9"),
        (["extract", "imgs", "--network", "tiny", "--resize", "sideways", "-o", "x.h5"], "sideways"),
        (["extract", "imgs", "--network", "tiny", "--crops", "7", "-o", "x.h5"], "crops is 7"),
        (["extract", "imgs", "--network", "tiny", "--max-failures", "many"], "many"),
        (["fit", "--svm", "--softmax"], "one of them"),
        (["fit", "-C", "none"], "-C none"),
        (["fit", "-C", "-1"], "above 0"),
        (["fit", "--test-size", "1.5"], "1.5"),
        (["fit", "no-such.h5"], "no-such.h5"),
        (["classify", "imgs", "-m", "no-such.onnx"], "no-such.onnx"),
        (["classify", "imgs", "features.h5", "-m", "no-such.onnx"], "no-such.onnx"),
        (["nonsense"], "nonsense"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_wrong_call_says_what_was_found_and_exits_with_2(
    cli: CommandLine, arguments: list[str], said: str
) -> None:
    ran = cli(*arguments)
    assert ran.code == 2, ran.text
    assert said in ran.err
    assert ran.out == ""


@pytest.mark.skipif(os.name != "posix", reason="needs named pipes")
@pytest.mark.parametrize(
    "arguments",
    [
        ["extract", "pipe", "--network", "tiny"],
        ["extract", "imgs", "pipe.zip", "--network", "tiny"],
        ["extract", "imgs", "--network", "tiny", "--labels", "pipe"],
        ["extract", "imgs", "--network", "tiny", "-o", "pipe"],
        ["fit", "pipe"],
        ["classify", "imgs", "-m", "pipe"],
        ["models", "import", "pipe", "--as", "p"],
    ],
    ids=" ".join,
)
def test_a_pipe_is_refused_by_name_and_not_waited_for(cli: CommandLine, arguments: list[str]) -> None:
    for name in ("pipe", "pipe.zip"):
        if not (cli.folder / name).exists():
            os.mkfifo(cli.folder / name)
    ran = cli(*arguments)
    assert ran.code == 2, ran.text
    assert re.search(r"pipe(\.zip)?: a (pipe|feature cache cannot be written to a pipe)", ran.err)


def test_an_empty_folder_is_said_to_hold_no_images(cli: CommandLine) -> None:
    (cli.folder / "empty").mkdir()
    (cli.folder / "empty/notes.txt").write_text("x")
    ran = cli("extract", "empty", "--network", "tiny", "-o", "empty.h5")
    assert ran.code == 2
    assert ".txt" in ran.err


def test_cuda_without_a_gpu_is_exit_2_and_no_cache(cli: CommandLine) -> None:
    from fc7.extract.engine.engine import nvidia_driver

    if nvidia_driver():
        pytest.skip("this machine has an NVIDIA driver")
    ran = cli("extract", "imgs", "--network", "tiny", "--device", "cuda", "-o", "gpu.h5")
    assert ran.code == 2
    assert "--device cpu" in ran.err
    assert not (cli.folder / "gpu.h5").exists()


def test_extract_tells_a_program_what_it_did(cli: CommandLine) -> None:
    (cli.folder / "some/a").mkdir(parents=True)
    (cli.folder / "some/a/bad.png").write_bytes(b"")
    (cli.folder / "some/readme.md").write_text("x")
    source = (cli.folder / "imgs/red/000.png").read_bytes()
    (cli.folder / "some/a/good.png").write_bytes(source)
    arguments = [
        "extract",
        "some",
        "--network",
        "tiny",
        "-o",
        "some.h5",
        "--json",
        "--failures-csv",
        "bad.csv",
    ]
    first = read_json(cli.incomplete(*arguments).out)
    assert (first["images"], first["rows"], first["extracted"], first["reused"]) == (2, 1, 1, 0)
    assert [failure["path"] for failure in first["failures"]] == ["a/bad.png"]
    assert first["ignored"] == {".md": 1}
    assert "a/bad.png" in (cli.folder / "bad.csv").read_text()
    before = (cli.folder / "some.h5").read_bytes()
    second = read_json(cli.incomplete(*arguments).out)
    assert (second["extracted"], second["reused"], second["written"]) == (0, 1, False)
    assert second["engine"] is None
    assert (cli.folder / "some.h5").read_bytes() == before


def test_quiet_is_quiet(cli: CommandLine) -> None:
    ran = cli.good("extract", "imgs", "--network", "tiny", "-o", "quiet.h5", "--quiet")
    assert ran.text == ""


def test_fail_on_the_first_error_keeps_what_was_done(cli: CommandLine) -> None:
    folder = write_pictures(cli.folder / "strict", per_class=2)
    (folder / "red/zzz.png").write_bytes(b"broken")
    ran = cli("extract", "strict", "--network", "tiny", "-o", "strict.h5", "--on-error", "fail", "-b", "1")
    assert ran.code == 1
    assert "red/zzz.png" in ran.err
    (folder / "red/zzz.png").unlink()
    again = read_json(
        cli.good("extract", "strict", "--network", "tiny", "-o", "strict.h5", "--json", "-b", "1").out
    )
    assert again["rows"] == 6
    assert again["reused"] > 0


@pytest.mark.parametrize(("limit", "code"), [("1", 1), ("2", 0), ("20%", 1), ("40%", 0), ("0", 1)])
def test_more_failures_than_allowed_end_the_run(cli: CommandLine, limit: str, code: int) -> None:
    folder = cli.folder / "limits"
    if not folder.exists():
        write_pictures(folder, per_class=2)
        for name in ("x", "y"):
            (folder / f"red/{name}.png").write_bytes(b"broken")
    out = f"limits-{limit}.h5"
    ran = cli("extract", "limits", "--network", "tiny", "-o", out, "-b", "1", "--max-failures", limit)
    assert ran.code == code, ran.text
    assert ("--max-failures" in ran.err) == (code == 1)


@pytest.mark.parametrize("as_json", [False, True])
def test_a_run_that_gives_no_row_of_many_images_failed(cli: CommandLine, as_json: bool) -> None:
    (cli.folder / "none/x").mkdir(parents=True, exist_ok=True)
    for i in range(3):
        (cli.folder / f"none/x/{i}.png").write_bytes(b"broken")
    # The second time nothing is tried: they failed before and are as they were.
    for _ in range(2):
        more = ["--json"] if as_json else []
        ran = cli("extract", "none", "--network", "tiny", "-o", f"none{as_json}.h5", *more)
        assert ran.code == 1
        assert ran.err.splitlines()[-1].startswith("error: none of 3 images gave a row; the first: x/0.png: ")
        if as_json:
            assert read_json(ran.out)["rows"] == 0
    (cli.folder / "none/x/0.png").write_bytes((cli.folder / "imgs/red/000.png").read_bytes())
    out = f"none{as_json}.h5"
    for _ in range(2):
        ran = cli.incomplete("extract", "none", "--network", "tiny", "-o", out)
        last = ran.err.splitlines()[-1]
        assert last.startswith("error: 2 of 3 images could not be read (the first: x/1.png: not an image")
        assert "; fit can go on with 1 row: " in last
        assert f"fit {out}; --max-failures 2 " in last
    cli.good("extract", "none", "--network", "tiny", "-o", out, "--max-failures", "2")
    cli.incomplete("extract", "none", "--network", "tiny", "-o", out, "--max-failures", "1")


def test_a_fit_that_cannot_be_is_explained(cli: CommandLine) -> None:
    one = cli.folder / "one-class"
    write_pictures(one)
    for colour in ("green", "blue"):
        for file in (one / colour).iterdir():
            file.unlink()
    cli.good("extract", "one-class", "--network", "tiny", "-o", "one.h5")
    ran = cli("fit", "--force", "one.h5", "--svm")
    assert ran.code == 2
    assert "red" in ran.err


def test_it_works_in_a_project_that_has_folders_of_the_same_names(cli: CommandLine, tmp_path: Path) -> None:
    for name in ("models", "extract", "classify"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("mine = True\n")
    (tmp_path / "cli.py").write_text("mine = True\n")
    features = cli.folder / "features.h5"
    for program in (["-m", "fc7"], ["-c", "from fc7.cli import main; main()"]):
        ran = subprocess.run(
            [sys.executable, *program, "cache", "info", str(features)],
            cwd=tmp_path,
            env=cli.environment(),
            capture_output=True,
            text=True,
            check=True,
        )
        assert "tiny" in ran.stdout
    both = "import fc7.models.common.errors, models, extract, classify, cli; print(models.mine and cli.mine)"
    ran = subprocess.run(
        [sys.executable, "-c", both], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert ran.stdout == "True\n"


def test_the_public_names_are_those_of_the_package() -> None:
    for name in fc7.__all__:
        assert callable(getattr(fc7, name))
    assert fc7.__version__ == version("fc7")
    with pytest.raises(AttributeError, match="module 'fc7' has no attribute 'nothing'"):
        fc7.nothing  # noqa: B018


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_behind_stdout_is_named_and_no_fault_of_fc7(cli: CommandLine, unbuffered: str) -> None:
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(
            command(["models", "list"]),
            cwd=cli.folder,
            env=cli.environment() | {"PYTHONUNBUFFERED": unbuffered},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert ran.returncode == 1
    (line,) = ran.stderr.splitlines()
    assert line.startswith("error: stdout: cannot be written (No space left on device); free the disk")
