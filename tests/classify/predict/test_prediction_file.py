"""A file of results: whole under its name, or what was finished under another, and the message says which."""

from __future__ import annotations

from pathlib import Path

import pytest

from fc7.classify.predict.prediction_file import prediction_file
from fc7.classify.predict.predictions import PredictionFormat, open_predictions
from fc7.models.common.errors import CredentialsError, Fc7Error, StoppedError
from tests.support import CommandLine, write_pictures

OLD = "path,label,score,label_1,score_1,error\n"


def test_it_appears_when_it_is_complete(tmp_path: Path) -> None:
    out = tmp_path / "p.csv"
    out.write_text(OLD)
    with prediction_file(out) as stream:
        stream.write("new\n")
        assert out.read_text() == OLD
    assert out.read_text() == "new\n"
    assert [path.name for path in tmp_path.iterdir()] == ["p.csv"]


@pytest.mark.parametrize(
    ("raised", "caught"),
    [
        (KeyboardInterrupt(), StoppedError),
        (CredentialsError("no key"), CredentialsError),
        (ValueError("x"), ValueError),
    ],
)
def test_what_was_finished_is_kept_and_said(
    tmp_path: Path, raised: BaseException, caught: type[BaseException]
) -> None:
    out = tmp_path / "p.csv"
    out.write_text(OLD)
    with pytest.raises(caught) as error, prediction_file(out, header_lines=1) as stream:
        stream.write("path\na.jpg\n")
        raise raised
    assert out.read_text() == OLD
    assert (tmp_path / "p.csv.part").read_text() == "path\na.jpg\n"
    if isinstance(error.value, Fc7Error):
        assert "p.csv.part" in str(error.value)
    if caught is CredentialsError:
        assert str(error.value).startswith("no key; ")


@pytest.mark.parametrize("raised", [KeyboardInterrupt(), CredentialsError("no key"), ValueError("x")])
def test_a_part_without_results_does_not_stay(tmp_path: Path, raised: BaseException) -> None:
    with (
        pytest.raises((StoppedError, CredentialsError, ValueError)),
        open_predictions(tmp_path / "p.csv", PredictionFormat(["a", "b"], 1)),
    ):
        raise raised
    assert not list(tmp_path.iterdir())


def test_a_full_disk_keeps_nothing(tmp_path: Path) -> None:
    with pytest.raises(Fc7Error, match="No space left"), prediction_file(tmp_path / "p.csv") as stream:
        stream.write("a\n")
        raise OSError(28, "No space left on device")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with (
        pytest.raises(Fc7Error, match=r"; make the folder .*none or "),
        prediction_file(tmp_path / "none/p.csv"),
    ):
        pass


def test_two_at_once_do_not_mix_their_lines(tmp_path: Path) -> None:
    cli = CommandLine(tmp_path).with_tiny_network()
    write_pictures(tmp_path / "imgs", per_class=4)
    cli.good("extract", "imgs", "--network", "tiny")
    cli.good("fit", "--force", "--softmax", "-C", "1")
    with prediction_file(tmp_path / "p.csv") as stream:
        stream.write("mine\n")
        ran = cli("classify", "imgs", "-o", "p.csv")
    assert ran.code == 1
    assert "p.csv: another process is writing it; wait for it, or choose another -o" in ran.err
    assert (tmp_path / "p.csv").read_text() == "mine\n"
    assert not list(tmp_path.glob(".p.csv*"))
    assert not list(tmp_path.glob("p.csv.*"))
    cli.good("classify", "imgs", "-o", "other.csv")
