"""No picture vanishes from a command: known by suffix or first bytes, read, or a failure with its cure."""

from __future__ import annotations

import json
import re
import shutil
import sys
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from tests.support import COLOURS, CommandLine, coloured_picture, lines_of, read_json, write_pictures
from tests.support.extract.odd_files import encoded

# Name -> colour and format: what Pillow reads, and names that say nothing.
PICTURES = {
    "a.avif": ("red", "AVIF"),
    "b.jp2": ("green", "JPEG2000"),
    "c.mpo": ("blue", "MPO"),
    "d": ("red", "PNG"),
    "e.jpg_large": ("green", "JPEG"),
    "f.jpeg.download": ("blue", "JPEG"),
    "g.j2k": ("red", "JPEG2000"),
    "i.JPG": ("green", "AVIF"),
}
if sys.platform != "win32":
    PICTURES["j.jpg?raw=1"] = ("blue", "JPEG")
NEEDS = "HEIC is read by pillow-heif, which is not installed; python -m pip install 'fc7[heif]'"
# What a folder of pictures also holds; the camera raw begins as a TIFF.
OTHERS = {
    "notes.txt": b"BM are my initials",
    "r.nef": b"II*\0" + bytes(80),
    "k": b"",
    "p.jpg_original": b"\xff\xd8\xff",
}


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    here = CommandLine(tmp_path_factory.mktemp("any")).with_tiny_network()
    write_pictures(here.folder / "imgs")
    here.good("extract", "imgs", "--network", "tiny")
    here.good("fit", "--force", "--svm")
    return here


@pytest.fixture(scope="module")
def blocked(cli: CommandLine) -> dict[str, str]:
    """The environment of a machine without the extras."""
    stubs = cli.folder / "stubs"
    stubs.mkdir()
    for name in ("pillow_heif", "imagecodecs"):
        (stubs / f"{name}.py").write_text("raise ImportError")
    return {"PYTHONPATH": str(stubs)}


@pytest.fixture(scope="module")
def new(cli: CommandLine) -> Path:
    """All kinds side by side, an unreadable HEIC, and what is no picture."""
    folder = cli.folder / "new"
    folder.mkdir()
    for i, (name, (colour, form)) in enumerate(PICTURES.items()):
        (folder / name).write_bytes(encoded(coloured_picture(colour, 100 + i), form))
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(50)
    (folder / "h.heic").write_bytes(heic)
    (folder / "h").write_bytes(heic)
    for name, data in OTHERS.items():
        (folder / name).write_bytes(data)
    return folder


def with_any_python(reason: str) -> str:
    """A reason whose cure names no Python of this machine."""
    return re.sub(r"; \S+ -m pip", "; python -m pip", reason)


def check_lines(lines: list[dict[str, str]], start: str) -> None:
    right = {start + name: colour for name, (colour, _) in PICTURES.items()}
    assert {line["path"]: line["label"] for line in lines if not line["error"]} == right
    failed = {line["path"]: with_any_python(line["error"]) for line in lines if line["error"]}
    assert failed == {f"{start}h": NEEDS, f"{start}h.heic": NEEDS}


def test_classify_reads_every_kind_names_what_it_cannot_and_counts_the_rest(
    cli: CommandLine, new: Path, blocked: dict[str, str]
) -> None:
    ran = cli("classify", "--force", "new", env=blocked)
    assert ran.code == 1
    check_lines(lines_of(cli.folder / "predictions.csv"), "new/")
    assert "not images: 1 .jpg_original, 1 .nef, 1 .txt, 1 no suffix" in ran.err


def test_classify_does_so_when_the_shell_names_the_files(
    cli: CommandLine, new: Path, blocked: dict[str, str]
) -> None:
    ran = cli("classify", "--force", *sorted(f"new/{path.name}" for path in new.iterdir()), env=blocked)
    assert ran.code == 1
    check_lines(lines_of(cli.folder / "predictions.csv"), "new/")
    cli.good("classify", "new/d", "-o", "one.csv")
    assert [line["label"] for line in lines_of(cli.folder / "one.csv")] == ["red"]
    ran = cli("classify", "--force", "new/r.nef")
    assert ran.code == 2
    assert "'new/r.nef': not images by suffix or first bytes" in ran.err


@pytest.mark.parametrize("form", ["zip", "tar.gz"])
def test_classify_does_so_in_archives(
    cli: CommandLine, new: Path, blocked: dict[str, str], form: str
) -> None:
    file = shutil.make_archive(str(cli.folder / "packed"), {"zip": "zip", "tar.gz": "gztar"}[form], new)
    ran = cli("classify", "--force", Path(file).name, env=blocked)
    assert ran.code == 1
    check_lines(lines_of(cli.folder / "predictions.csv"), f"{Path(file).name}/")
    assert "not images: 1 .jpg_original, 1 .nef, 1 .txt, 1 no suffix" in ran.err


def test_classify_does_so_in_lists(cli: CommandLine, new: Path, blocked: dict[str, str]) -> None:
    names = [*sorted(path.name for path in new.iterdir()), "gone.jpg_large", "gone.txt"]
    (cli.folder / "list.txt").write_text("".join(f"new/{name}\n" for name in names))
    ran = cli("classify", "--force", "list.txt", env=blocked)
    assert ran.code == 1
    lines = {line["path"].removeprefix("new/"): line for line in lines_of(cli.folder / "predictions.csv")}
    no_images = {name: f"named in list.txt line {names.index(name) + 1}, no image" for name in OTHERS}
    gone = f"named in list.txt line {len(names) - 1}, not found"
    assert lines.pop("gone.jpg_large")["error"] == gone
    assert lines.pop("gone.txt")["error"].startswith(f"named in list.txt line {len(names)}, no")
    for name, reason in no_images.items():
        assert lines.pop(name)["error"].startswith(reason)
    check_lines(list(lines.values()), "new/")


def test_a_manifest_takes_them_and_says_the_truth_of_what_it_does_not(
    cli: CommandLine, new: Path, blocked: dict[str, str]
) -> None:
    rows = [f"{name},{colour}\n" for name, (colour, _) in PICTURES.items()]
    rows += ["h.heic,red\n", "r.nef,red\n", "gone.jpg,red\n"]
    (cli.folder / "labels.csv").write_text("path,label\n" + "".join(rows))
    ran = cli("evaluate", "new", "--labels", "labels.csv", "--json", env=blocked)
    found = read_json(ran.out)
    assert ran.code == 1
    assert (found["n"], found["accuracy"]) == (len(PICTURES), 1.0)
    line = len(PICTURES) + 3
    assert {failure["path"]: with_any_python(failure["reason"]) for failure in found["failures"]} == {
        "h": NEEDS,
        "h.heic": NEEDS,
        "r.nef": f"named in labels.csv line {line}, there, but not among the images given",
        "gone.jpg": f"named in labels.csv line {line + 1}, not found",
    }


def test_extract_tries_what_lacked_a_reader_again(cli: CommandLine, blocked: dict[str, str]) -> None:
    heif = pytest.importorskip("pillow_heif", reason="HEIC needs the extra heif")
    folder = cli.folder / "phone"
    for colour in COLOURS:
        (folder / colour).mkdir(parents=True)
        picture = heif.from_pillow(Image.fromarray(coloured_picture(colour, 200)))
        picture.save(folder / colour / "IMG_0001.HEIC", quality=-1, chroma=444)
    Image.fromarray(coloured_picture("red", 201)).save(folder / "red/2.png")
    command = ("extract", "phone", "--network", "tiny", "-o", "phone.h5", "--json")
    first = cli(*command, env=blocked)
    found = read_json(first.out)
    assert first.code == 1
    assert (found["rows"], len(found["failures"])) == (1, 3)
    assert {with_any_python(failure["reason"]) for failure in found["failures"]} == {NEEDS}
    again = read_json(cli.good(*command).out)
    assert (again["rows"], again["failures"], again["reused"]) == (4, [], 1)
    cli.good("classify", "phone.h5", "-o", "phone.csv")
    right = {line["path"]: line["label"] for line in lines_of(cli.folder / "phone.csv")}
    assert right == {"red/2.png": "red"} | {f"{colour}/IMG_0001.HEIC": colour for colour in COLOURS}


def test_folders_without_an_image_are_named_at_extract_and_lost_classes_at_fit(cli: CommandLine) -> None:
    folder = write_pictures(cli.folder / "lossy", per_class=6)
    for name in ("empty", "texts/deep", "broken", "cut"):
        (folder / name).mkdir(parents=True)
    (folder / "texts/deep/a.txt").write_text("text")
    for i in range(3):
        (folder / f"broken/{i}.jpg").write_bytes(b"no picture")
    whole = encoded(coloured_picture("red", 0), "AVIF")
    (folder / "cut/1.avif").write_bytes(whole[: len(whole) // 2])
    ran = cli.incomplete("extract", "lossy", "--network", "tiny", "-o", "lossy.h5")
    assert "no image in empty/, texts/\n" in ran.err
    assert "skipped cut/1.avif: truncated: the file ends before the picture does" in ran.out
    found = read_json(cli.good("fit", "--force", "lossy.h5", "--svm", "-o", "lossy.onnx", "--json").out)
    note = "class folders without a row, which the classifier does not know: "
    assert note + "broken (3 failed), cut (1 failed)" in found["notes"]
    # Where a manifest labels, folders are no classes.
    named = sorted(path for path in folder.rglob("*.*") if path.suffix != ".txt")
    rows = [f"{path.relative_to(folder).as_posix()},{i % 2}\n" for i, path in enumerate(named)]
    (cli.folder / "rows.csv").write_text("path,label\n" + "".join(rows))
    cli.incomplete("extract", "lossy", "--labels", "rows.csv", "--network", "tiny", "-o", "rows.h5")
    assert "class folders" not in cli.good("fit", "--force", "rows.h5", "--svm", "-o", "rows.onnx").text


def test_a_shard_with_one_label_missing_trains_on_the_others(cli: CommandLine) -> None:
    truth = {f"{i:04}": list(COLOURS)[i % 3] for i in range(24)}
    with zipfile.ZipFile(cli.folder / "shard.zip", "w") as shard:
        for i, (key, colour) in enumerate(truth.items()):
            shard.writestr(f"{key}.png", encoded(coloured_picture(colour, i), "PNG"))
            if i == 5:
                continue
            number = float(list(COLOURS).index(colour))
            shard.writestr(f"{key}.json", json.dumps({"label": number}))
    ran = cli.good("extract", "shard.zip", "--network", "tiny", "-o", "shard.h5")
    assert "shard.zip: 1 of 24 images have no label in a .cls or .json; these have none" in ran.err
    cli.good("fit", "--force", "shard.h5", "--svm", "-o", "shard.onnx")
    lines = cli.good("classify", "shard.h5", "-m", "shard.onnx", "-o", "-").out.splitlines()[1:]
    assert [line.split(",")[1] for line in lines] == [str(i % 3) for i in range(24)]
