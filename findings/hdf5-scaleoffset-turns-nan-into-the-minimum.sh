#!/usr/bin/env bash
# h5py 3.16.0 with HDF5 2.0.0: in a float dataset with the scale-offset filter (decimal digits, lossy by design), a NaN
# is read back as an ordinary number: here as the smallest number of its chunk. The same chunk with an infinity in the
# NaN's place is kept whole, bit for bit.
#
# The good guess is that a filter which may round numbers keeps what cannot be rounded, or refuses it: with an infinity it
# does just that, since it notices that the range does not fit and stores the chunk as it is. A NaN takes part in no
# comparison, so it is in no range, and what is computed from it fits the field of bits like any number. Whoever marks
# missing measurements with NaN and saves with `scaleoffset=` gets measurements in their place, without an error.
#
# Seen: "nan -> -7.25 (the minimum is -7.25)", "inf -> inf".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check h5py==3.16.0 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PY' | tee seen.txt
import h5py
import numpy as np

for odd in (np.nan, np.inf):
    numbers = np.array([1.25, 2.5, odd, -7.25, 0.5] * 20, "f4")
    with h5py.File("numbers.h5", "w") as file:
        file.create_dataset("x", data=numbers, chunks=(100,), scaleoffset=3)
    with h5py.File("numbers.h5") as file:
        back = file["x"][:]
    print(f"{odd} -> {back[2]:g} (the minimum is {np.nanmin(numbers):g})" if odd != odd else f"{odd} -> {back[2]:g}")
PY
diff seen.txt - <<'SEEN'
nan -> -7.25 (the minimum is -7.25)
inf -> inf
SEEN
