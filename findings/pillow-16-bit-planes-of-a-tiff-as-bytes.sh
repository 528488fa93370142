#!/usr/bin/env bash
# Pillow 13.0.0: an uncompressed RGB TIFF of 16 bits whose channels lie in separate planes (PlanarConfiguration 2, what
# tifffile writes of a (3, H, W) array, and many microscopes do) is read without a warning as if every byte were a
# pixel: the top half of each plane, low and high bytes in turn. The same picture compressed with zlib, or with its
# channels interleaved, is read right.
#
# The good guess is that one picture has one reading: 16-bit RGB is either supported, and reduced to 8 bits, or refused as
# an unknown mode. Compressed planes go through libtiff and are right; uncompressed ones go through Pillow's own raw
# decoder, which is given the planes' 8-bit form. The result has the right size and mode, so nothing gives it away.
# (tifffile 2026.3.3 writes the files and reads all three alike.)
#
# Seen: the first two pixels of a picture of one colour, (1000, 30000, 60000) in 16 bits or (3, 117, 234) in 8:
# "interleaved [[3, 117, 234], [3, 117, 234]]", "planes, zlib [[3, 117, 234], [3, 117, 234]]",
# "planes, uncompressed [[232, 48, 96], [3, 117, 234]]".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    pillow==13.0.0 tifffile==2026.3.3 imagecodecs==2026.3.6 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PY' | tee seen.txt
import numpy as np
import tifffile
from PIL import Image

colour = np.array([1000, 30000, 60000], np.uint16)
planes = np.broadcast_to(colour[:, None, None], (3, 8, 8)).copy()
for name, array, planar, compression in (
    ("interleaved", planes.transpose(1, 2, 0), "contig", None),
    ("planes, zlib", planes, "separate", "zlib"),
    ("planes, uncompressed", planes, "separate", None),
):
    tifffile.imwrite("picture.tif", array, photometric="rgb", planarconfig=planar, compression=compression)
    assert np.array_equal(tifffile.imread("picture.tif"), array)
    with Image.open("picture.tif") as picture:
        assert (picture.mode, picture.size) == ("RGB", (8, 8))
        print(name, np.asarray(picture)[0, :2].tolist())
PY
diff seen.txt - <<'SEEN'
interleaved [[3, 117, 234], [3, 117, 234]]
planes, zlib [[3, 117, 234], [3, 117, 234]]
planes, uncompressed [[232, 48, 96], [3, 117, 234]]
SEEN
