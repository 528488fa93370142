"""`choose`: every network once over the same images, one test set for all, the best two tested."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.stats import binomtest

import fc7
from fc7.classify.commands.texts.summaries import choice_report
from fc7.classify.network_choice import extracted
from fc7.classify.network_choice.candidates import candidates_of
from fc7.classify.network_choice.result import NetworkChoice, Speed
from fc7.extract.cache.reader import load_features
from fc7.models.common.errors import Fc7Error, StoppedError, UnknownNetworkError, UsageError
from fc7.models.network.spec import caffe_preprocess
from fc7.models.store import measured, store
from fc7.models.store.importing import ImportOptions, import_network
from tests.support import ROOT, CommandLine, lines_of, read_json, tiny_network

SVM = fc7.FitOptions(head="svm", C=1.0, test_size=0.5)
CHOOSE = ("choose", "imgs", "--svm", "-C", "1", "--test-size", "0.5", "--device", "cpu")


def write_noise(folder: Path, per_class: int = 20) -> Path:
    """Pictures that no network can tell apart well: noise, a little brighter in one class."""
    for c, name in enumerate(("dark", "light")):
        (folder / name).mkdir(parents=True)
        for i in range(per_class):
            noise = np.random.default_rng([c, i]).integers(0, 250, (32, 32, 3)) + 3 * c
            Image.fromarray(noise.astype(np.uint8)).save(folder / name / f"{i:02}.png")
    return folder


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """Two networks in the store, forty pictures, and the features of both networks in ``whole``."""
    here = CommandLine(tmp_path_factory.mktemp("choose"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FC7_HOME", str(here.store))
        for seed, name in enumerate(("one", "two")):
            file = tiny_network(here.folder / f"{name}.onnx", seed)
            import_network(file, name, ImportOptions(preprocess=caffe_preprocess(), layer="embedding"))
        write_noise(here.folder / "imgs")
        run(here, "whole")
    return here


@pytest.fixture(autouse=True)
def its_store(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FC7_HOME", str(cli.store))


def run(cli: CommandLine, folder: str, *networks: str, fit: fc7.FitOptions = SVM) -> NetworkChoice:
    options = fc7.ChoiceOptions(networks=networks, extract=fc7.ExtractOptions(device="cpu"), fit=fit)
    return fc7.choose_network([cli.folder / "imgs"], cli.folder / folder, options)


def test_all_networks_are_tested_on_the_same_images(cli: CommandLine) -> None:
    choice = run(cli, "whole", "one,two")
    assert choice.n_train == len(choice.paths) == 20
    for result in choice.results:
        found = load_features(result.features)
        at = [found.paths.index(path) for path in choice.paths]
        assert [str(found.y[i]) for i in at] == choice.truth
        assert result.fit.classifier.predict(found.X[at]).tolist() == result.predictions
        assert result.n_correct == sum(
            said == true for said, true in zip(result.predictions, choice.truth, strict=True)
        )
        split = result.fit.classifier.split
        assert split is not None
        sides = split.part_of(found.sha256)
        assert [path for path, side in zip(found.paths, sides, strict=True) if side == "test"] == choice.paths


def test_the_best_two_are_tested_by_mcnemar(cli: CommandLine) -> None:
    choice = run(cli, "whole")
    best, other = choice.results
    assert best.n_correct >= other.n_correct
    pairs = list(zip(choice.truth, best.predictions, other.predictions, strict=True))
    b = sum(true == first != second for true, first, second in pairs)
    c = sum(true == second != first for true, first, second in pairs)
    assert b + c > 2
    assert choice.comparison is not None
    assert (choice.comparison.test.b, choice.comparison.test.c) == (b, c)
    assert choice.comparison.test.p_value == pytest.approx(binomtest(b, b + c).pvalue)
    assert choice.comparison.names == (best.name, other.name)


def test_the_order_of_the_names_changes_nothing(cli: CommandLine) -> None:
    there, back = run(cli, "whole", "one,two"), run(cli, "whole", "two", "one", "one")
    assert there.paths == back.paths
    for a, b in zip(there.results, back.results, strict=True):
        assert (a.name, a.predictions) == (b.name, b.predictions)


def test_the_command_prints_a_table_and_writes_it(cli: CommandLine) -> None:
    ran = cli.good(*CHOOSE, "--csv", "tables/networks.csv")
    assert "network 2 of 2: two" in ran.err
    assert "no --networks, so all of the network store: one, two" in ran.err
    lines = ran.out.splitlines()
    assert lines[0] == "trained on 20 and tested on the same 20 images:"
    assert lines[1].split()[:3] == ["NETWORK", "LAYER", "ACCURACY"]
    assert [line.split()[1] for line in lines[2:4]] == ["embedding", "embedding"]
    assert "the best two, by McNemar's exact test: " in ran.out
    assert "the best of 2 accuracies on one test set is too good a number" in ran.out
    words = next(line for line in lines if line.startswith("go on with: ")).split(" fit ")[1]
    assert words.startswith("choose/")
    assert re.fullmatch(r"(choose/\w+)\.h5 --layer embedding --svm -o \1\.onnx", words)
    cli.good("fit", *words.split(), "-C", "1")
    table = lines_of(cli.folder / "tables/networks.csv")
    assert {line["network"] for line in table} == {"one", "two"}
    assert all(int(line["n_correct"]) / 20 == float(line["accuracy"]) for line in table)
    assert all(float(line["images_per_second"]) > 0 and line["measured_by"] == "extract" for line in table)
    # Run again: nothing is extracted, so there is no speed, and the table may be written over its own kind.
    again = cli.good(*CHOOSE, "--csv", "tables/networks.csv", "--json")
    assert "choose/one.h5: 40 rows, 0 extracted now" in again.err
    said = read_json(again.out)
    assert [network["images_per_second"] for network in said["networks"]] == [None, None]
    assert {"n_train", "n_test", "networks", "best_two", "recommended", "failed", "next_command"} <= set(said)
    assert said["best_two"]["test"] == "McNemar, exact, two-sided"
    assert [network["dim"] for network in said["networks"]] == [64, 64]
    assert said["networks"][0]["bytes"] == store.load(said["networks"][0]["network"]).size


def test_a_network_that_fails_is_named_and_the_others_go_on(cli: CommandLine) -> None:
    file = tiny_network(cli.folder / "third.onnx", 2)
    import_network(file, "broken", ImportOptions(preprocess=caffe_preprocess(), layer="embedding"))
    store.load("broken").graph_path.unlink()
    try:
        ran = cli.incomplete(*CHOOSE, "-o", "partly", "--networks", "broken,one", "--csv", "partly.csv", "-q")
        with pytest.raises(Fc7Error, match="no network gave features of these images: broken: "):
            run(cli, "none", "broken")
    finally:
        store.remove("broken")
    assert "failed: broken: " in ran.out
    assert "network.onnx is missing" in " ".join(ran.out.split())
    assert "one is the only network that gave features" in ran.out
    with (cli.folder / "partly.csv").open(newline="") as stream:
        header, first, second = csv.reader(stream)
    assert (first[0], second[0]) == ("one", "broken")
    assert "network.onnx is missing" in second[header.index("error")]


def test_an_image_that_cannot_be_read_is_in_no_number(cli: CommandLine) -> None:
    bad = cli.folder / "imgs/dark/bad.png"
    bad.write_bytes(b"\x89PNG\r\n\x1a\n")
    try:
        ran = cli.incomplete(*CHOOSE, "-o", "bad", "--networks", "one,two", "--json", "-q")
    finally:
        bad.unlink()
    said = read_json(ran.out)
    assert [failure["path"] for failure in said["failures"]] == ["dark/bad.png"]
    assert said["n_train"] + said["n_test"] == 40


@pytest.mark.parametrize(
    ("networks", "told"),
    [("one,three", "no network 'three'"), ("one:nowhere", "network 'one' has no layer 'nowhere'")],
)
def test_an_unknown_name_is_refused_before_any_work(cli: CommandLine, networks: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        run(cli, "refused", networks)
    assert not (cli.folder / "refused").exists()


def test_a_wrong_call_has_exit_code_2(cli: CommandLine) -> None:
    ran = cli(*CHOOSE, "-o", "refused", "--networks", "one,three")
    assert ran.code == 2
    assert "no network 'three'" in ran.err
    assert not (cli.folder / "refused").exists()


def test_labels_are_looked_at_before_the_networks_run(cli: CommandLine) -> None:
    with pytest.raises(UsageError, match="of one class"):
        run(cli, "refused", fit=replace(SVM, include=("dark",)))
    with pytest.raises(UsageError, match="--include"):
        run(cli, "refused", fit=replace(SVM, include=("blue",)))
    assert not (cli.folder / "refused").exists()


def test_an_empty_store_says_what_to_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FC7_HOME", str(tmp_path))
    with pytest.raises(UsageError, match="has no network to compare; name some of"):
        candidates_of()
    with pytest.raises(UnknownNetworkError):
        candidates_of(["one"])


def test_layers_of_one_network_share_an_extraction(cli: CommandLine) -> None:
    choice = run(cli, "layers", "one:p,one", "one:embedding")
    assert {result.name for result in choice.results} == {"one:p", "one:embedding"}
    assert {result.dim for result in choice.results} == {64, 16 * 4 * 4}
    assert {result.features for result in choice.results} == {cli.folder / "layers/one.h5"}
    assert f"one.h5 --layer {choice.recommended.layer} --svm" in choice.next_command


def test_what_bench_measured_is_the_speed_of_rows_that_were_kept(cli: CommandLine) -> None:
    spec = store.load("one").spec
    speed = measured.Measured(
        *(123.0, None, "CPUExecutionProvider fp32", 1, 1, 1, "a cpu", "2025-01-01", "embedding"),
        spec.fingerprint("embedding"),
    )
    path = measured.keep("one", speed)
    try:
        choice = run(cli, "whole")
    finally:
        path.unlink()
    speeds = {result.name: result.speed for result in choice.results}
    assert speeds == {"one": Speed(123.0, "bench"), "two": None}
    assert not choice.has_speeds
    assert "123.0*" in choice_report(choice)
    assert "*: by `models bench`" in choice_report(choice)


def test_the_fastest_that_the_test_does_not_tell_from_the_best_is_taken(cli: CommandLine) -> None:
    choice = run(cli, "whole")
    best, other = choice.results
    slow, fast = Speed(10.0, "extract"), Speed(20.0, "extract")
    quick = replace(choice, results=(replace(best, speed=slow), replace(other, speed=fast)))
    assert quick.recommended.name == other.name
    assert f"take {other.name}: it is the fastest of the 2 that the test does" in quick.recommendation
    # Two ways of measuring are not compared; then the smaller one is taken.
    mixed = (replace(best, speed=replace(slow, measured_by="bench"), size=5), quick.results[1])
    assert replace(choice, results=mixed).recommended.name == best.name
    assert "the smallest of the 2" in replace(choice, results=mixed).recommendation
    told = replace(choice.comparisons[0], test=replace(choice.comparisons[0].test, b=9, c=0, p_value=0.004))
    clear = replace(quick, comparisons=(told,))
    assert clear.recommendation == f"take {best.name}: it is better than every other one"
    few = replace(told, test=replace(told.test, b=2, c=1, p_value=1.0))
    said = replace(quick, comparisons=(few,)).recommendation
    assert "20 test images are too few to tell these apart" in said


def test_the_table_is_at_most_100_columns_wide(cli: CommandLine) -> None:
    choice = run(cli, "whole")
    long = replace(choice.results[0], network="a-network-" + "x" * 40, layer="a_layer_" + "y" * 80)
    text = choice_report(replace(choice, results=(long, choice.results[1])))
    table = text.splitlines()[1:5]
    assert "a-network-" in table[1]
    assert max(map(len, table)) <= 100


PRESSED_IN_THE_SECOND = """
import os, signal
import fc7.classify.network_choice.extracted as module
usual, calls = module.extract_features, []
def call(*arguments, **options):
    calls.append(1)
    if len(calls) == 2:
        os.kill(os.getpid(), signal.SIGINT)
    return usual(*arguments, **options)
module.extract_features = call
from fc7.cli import main
main()
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGINT of POSIX")
def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(cli: CommandLine) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PRESSED_IN_THE_SECOND, *CHOOSE, "-o", "stopped"],
        cwd=cli.folder,
        env=cli.environment({"PYTHONPATH": str(ROOT / ".package")}),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 130, ran.stderr
    assert "kept in stopped: run the same command again to go on" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert len(load_features(cli.folder / "stopped/one.h5").paths) == 40
    assert not (cli.folder / "stopped/two.h5").exists()
    notes: list[str] = []
    options = fc7.ChoiceOptions(extract=fc7.ExtractOptions(device="cpu"), fit=SVM)
    fc7.choose_network([cli.folder / "imgs"], cli.folder / "stopped", options, notify=notes.append)
    assert any("one.h5: 40 rows, 0 extracted now" in note for note in notes)
    assert any("two.h5: 40 rows, 40 extracted now" in note for note in notes)


def test_a_stopped_extraction_names_its_network_and_those_before_it(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stops(images: object, out: object, options: fc7.ExtractOptions, **others: object) -> object:
        if options.network == "two":
            raise StoppedError("stopped; what was done is kept in b.h5: run the same command again to go on")
        return fc7.extract_features(images, out, options, **others)  # type: ignore[arg-type]

    monkeypatch.setattr(extracted, "extract_features", stops)
    with pytest.raises(StoppedError, match=r"^two: stopped; .* to go on; .*whole/one\.h5 whole$"):
        run(cli, "whole")


def test_json_of_every_choice_can_be_read(cli: CommandLine) -> None:
    said = json.loads(json.dumps(run(cli, "whole", "one").to_json()))
    assert (said["best_two"], said["caution"], said["recommended"]) == (None, None, "one")
