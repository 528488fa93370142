"""`fit --reject-...` and what `classify` then says, as a user sees it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support import CommandLine, lines_of, read_json, write_pictures


def test_classify_says_unknown_where_it_is_too_unsure_and_flags_what_is_new(tmp_path: Path) -> None:
    cli = CommandLine(tmp_path).with_tiny_network()
    write_pictures(cli.folder / "imgs", 10)
    (cli.folder / "imgs" / "red").rename(cli.folder / "imgs" / "unknown")
    cli.good("extract", "imgs", "--network", "tiny")
    ran = cli.good("fit", "--force", "--svm", "--reject-below", "0.9999")
    assert "test images below the threshold are predicted rejected" in ran.out
    assert "note: 0 of 9 test images are accepted, less than half" in ran.out
    rng = np.random.default_rng(0)
    (cli.folder / "new" / "blue").mkdir(parents=True)
    noise = rng.integers(0, 2, (40, 40, 1), np.uint8).repeat(3, axis=2) * 255
    Image.fromarray(noise).save(cli.folder / "new" / "blue" / "noise.png")
    ran = cli.good("classify", "new")
    (line,) = lines_of(cli.folder / "predictions.csv")
    # One class is called unknown, so the images that get no label are not.
    assert line["label"] == "rejected"
    assert line["rejected"] == "1"
    assert line["label_1"] in ("unknown", "green", "blue")
    assert line["score"] == line["score_1"]
    assert float(line["novelty"]) > 1
    text = " ".join(ran.out.split())
    assert (
        "1 image looks unlike anything in training (novelty above 1), do not trust the label: "
        f"{line['path']} "
    ) in text
    text = " ".join(cli.good("evaluate", "new").out.split())
    assert "1 of 1 images looks unlike anything in training: blue/noise.png" in text
    assert "1 image was too unsure for a label and called rejected" in ran.out
    cli.good("classify", "new", "-o", "p.jsonl")
    (said,) = map(read_json, (cli.folder / "p.jsonl").read_text(encoding="utf-8").splitlines())
    assert (said["label"], said["rejected"]) == ("rejected", True)
    assert said["novelty"] == pytest.approx(float(line["novelty"]), abs=1e-4)
    assert said["top"][0]["label"] == line["label_1"]


def test_a_share_out_of_range_is_a_wrong_call(tmp_path: Path) -> None:
    (tmp_path / "features.h5").write_bytes(b"")
    ran = CommandLine(tmp_path)("fit", "--reject-precision", "95")
    assert ran.code == 2
    assert "--reject-precision 95 was found; give a share between 0 and 1, such as 0.95" in ran.err
