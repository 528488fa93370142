#!/usr/bin/env bash
# h5py 3.16.0 with HDF5 2.0.0 (the version its wheel carries): a chunk with the Fletcher-32 filter that has been
# erased on the disk, to all zero bytes or to all 0xFF bytes, is read without an error: as zeros, or as NaN.
#
# The good guess is that a checksum beside each chunk finds a chunk that is gone; a flipped bit is found, after all.
# But the four checksum bytes are stored in the chunk, at its end, and are erased with it. Fletcher's two sums run
# modulo 65535: words of 0x0000 and of 0xFFFF are both zero there, so the checksum of either chunk is the very word
# that the erased bytes spell. Blocks come back as zeros from sparse copies and lost extents, as 0xFF from erased flash.
#
# Seen: "one bit flipped: refused", "all 0x00: read as [0.]", "all 0xFF: read as [nan]".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check h5py==3.16.0 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PY' | tee seen.txt
import h5py
import numpy as np

rows = np.random.default_rng(0).normal(size=(64, 64)).astype("f4")
with h5py.File("whole.h5", "w") as file:
    data = file.create_dataset("x", data=rows, chunks=(16, 64), fletcher32=True)
    second = data.id.get_chunk_info(1)


def read_after(name, change):
    content = bytearray(open("whole.h5", "rb").read())
    chunk = slice(second.byte_offset, second.byte_offset + second.size)
    content[chunk] = change(content[chunk])
    open("damaged.h5", "wb").write(content)
    with h5py.File("damaged.h5") as file:
        try:
            print(f"{name}: read as {np.unique(file['x'][16:32])}")
        except OSError:
            print(f"{name}: refused")


read_after("one bit flipped", lambda b: bytes([b[0] ^ 1]) + b[1:])
read_after("all 0x00", lambda b: bytes(len(b)))
read_after("all 0xFF", lambda b: b"\xff" * len(b))
PY
diff seen.txt - <<'SEEN'
one bit flipped: refused
all 0x00: read as [0.]
all 0xFF: read as [nan]
SEEN
