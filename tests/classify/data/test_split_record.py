"""The split in the classifier: every row is found again, whatever the order; a table of it goes the round."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fc7.classify.classifier.artifact import load_classifier, save_classifier
from fc7.classify.data.record import SplitRecord
from fc7.classify.data.split_csv import write_split
from fc7.classify.fit.fit import FitOptions, fit_classifier
from fc7.classify.image_columns import ImageColumns
from fc7.models.common.errors import ClassifierError, Fc7Error
from tests.support import ROOT, CommandLine, lines_of, read_json, write_pictures
from tests.support.classify.blobs import blobs, fitted, names


@settings(max_examples=100, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.sampled_from(["train", "test", ""]), st.sampled_from(["", *"abcdef"])), max_size=30
    ),
    data=st.data(),
)
def test_every_row_is_found_again_in_any_order_also_where_copies_were_parted(
    rows: list[tuple[str, str]], data: st.DataObject
) -> None:
    parts, digests, paths = [p for p, _ in rows], [d for _, d in rows], names(len(rows))
    record = SplitRecord.from_json(json.loads(json.dumps(SplitRecord.of(parts, digests, paths).to_json())))
    order = data.draw(st.permutations(range(len(rows))))
    found = record.part_of([digests[i] for i in order], [paths[i] for i in order])
    assert found.tolist() == [parts[i] for i in order]
    # Under other names a content is what it was seen as first: training before test before neither.
    for digest in set(digests) - {""}:
        seen = {part for part, d in rows if d == digest}
        expected = next(part for part in ("train", "test", "") if part in seen)
        assert record.part_of([digest], ["elsewhere.jpg"]).tolist() == [expected]
        assert record.part_of([digest]).tolist() == [expected]


def test_an_image_of_neither_part_and_one_without_hash_and_path_are_in_neither() -> None:
    record = SplitRecord.of(["train", "test"], ["aa", "bb"], ["1.jpg", "2.jpg"])
    assert record.part_of(["cc", "", "bb"], ["1.jpg", "", "9.jpg"]).tolist() == ["", "", "test"]
    assert record.part_of(None, ["1.jpg"]).tolist() == [""]
    by_path = SplitRecord.of(["train", "test"], None, ["1.jpg", "2.jpg"])
    assert by_path.part_of(None, ["2.jpg", "1.jpg", "3.jpg"]).tolist() == ["test", "train", ""]


def test_two_hundred_thousand_images_take_a_megabyte_and_a_third() -> None:
    n = 200_000
    parts = ["test" if i % 3 == 0 else "train" for i in range(n)]
    digests = [f"{i:064x}" for i in range(n)]
    record = SplitRecord.of(parts, digests, None)
    assert len(json.dumps(record.to_json())) < 6.7 * n
    assert record.part_of(digests).tolist() == parts
    unseen = record.part_of([f"{i:064x}" for i in range(n, 2 * n)])
    assert not (unseen != "").any()


def test_the_classifiers_file_carries_it_and_older_files_load_without(tmp_path: Path) -> None:
    X, y = blobs([12, 12, 12])
    result = fit_classifier(X, y, ImageColumns(paths=names(36)), options=FitOptions(head="svm", C=1.0))
    path = save_classifier(result.classifier, tmp_path / "c.onnx")
    record = load_classifier(path).split
    assert record is not None
    found = record.part_of(None, names(36))
    assert np.flatnonzero(found == "train").tolist() == result.train.tolist()
    assert np.flatnonzero(found == "test").tolist() == result.test.tolist()
    assert found.tolist() == result.parts.tolist()
    old = load_classifier(ROOT / "tests/data" / "classifier-v1.onnx")
    assert old.split is None


@pytest.mark.parametrize(
    "text",
    ['{"train":"!!","test":"","differing":{}}', '{"train":"QUE=","test":"","differing":{}}', "[]", "{}"],
)
def test_a_split_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    from fc7.classify.classifier.artifact import _checksum

    model = onnx.load(save_classifier(fitted(), tmp_path / "c.onnx"))
    meta = {entry.key: entry.value for entry in model.metadata_props} | {"split": text}
    arrays = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    meta["checksum"] = _checksum(meta, arrays)
    onnx.helper.set_model_props(model, meta)
    onnx.save(model, tmp_path / "d.onnx")
    with pytest.raises(ClassifierError, match="damaged"):
        load_classifier(tmp_path / "d.onnx")


def test_a_table_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(Fc7Error, match="cannot be written"):
        write_split(tmp_path / "no folder" / "s.csv", ["a"], ["b"], [""], ["train"], ["0" * 64])


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """Pictures in folders whose names fight CSV, and a cache of them."""
    here = CommandLine(tmp_path_factory.mktemp("split")).with_tiny_network()
    imgs = write_pictures(here.folder / "imgs", per_class=7)
    (imgs / "red").rename(imgs / 'a "red", one')
    (imgs / "green").rename(imgs / "=green\\=")
    (imgs / "blue" / "000.png").rename(imgs / "blue" / "two\nlines.png")
    (imgs / "blue" / "001.png").rename(imgs / "blue" / "a\rreturn.png")
    write_pictures(imgs, per_class=1, start=50)
    for colour in ("red", "green"):  # a fourth and fifth class of one picture would be refused
        (imgs / colour / "050.png").unlink()
        (imgs / colour).rmdir()
    here.good("extract", "imgs", "--network", "tiny", "--group-by", r"(.)\.png$")
    return here


def test_the_table_of_a_split_is_taken_back_and_gives_the_same_split(cli: CommandLine) -> None:
    cli.good("fit", "--force", "--svm", "-C", "1", "--seed", "3", "--split-csv", "split.csv")
    before = lines_of(cli.folder / "split.csv")
    assert list(before[0]) == ["path", "label", "group", "split", "sha256"]
    assert len(before) == 22
    assert {line["split"] for line in before} == {"train", "test"}
    cli.good("extract", "imgs", "--network", "tiny", "--labels", "split.csv", "-o", "again.h5")
    answer = read_json(
        cli.good(
            "fit", "--force", "again.h5", "--svm", "-C", "1", "-o", "b.onnx", "--split-csv", "b.csv", "--json"
        ).out
    )
    assert answer["split"]["how"] == "column"
    assert lines_of(cli.folder / "b.csv") == before
    first, second = (load_classifier(cli.folder / name) for name in ("classifier.onnx", "b.onnx"))
    np.testing.assert_array_equal(first.coef_, second.coef_)
