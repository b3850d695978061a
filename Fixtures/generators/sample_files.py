"""Writes samples/*.npy and samples/*.npz: the same 8 x 3 gradients in every form that routegrad reads, and some that it refuses.

gradient[t, k] = (t - 3)/4 + k/2 (exact in Float16), choice[t] = [t mod 3], coins[t] = [t mod 2].
"""

import io
import pathlib
import zipfile

import numpy as np

folder = pathlib.Path(__file__).resolve().parent.parent / "samples"
folder.mkdir(exist_ok=True)

t, k = np.arange(8)[:, None], np.arange(3)[None, :]
gradient = (t - 3) / 4 + k / 2
choice = (t % 3).astype(np.int64)
coins = (t % 2).astype(np.int8)


def npy(array, version=None):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, version=version)
    return stream.getvalue()


for name, dtype in [("f2", "<f2"), ("f4", "<f4"), ("f8", "<f8"), ("f4-big-endian", ">f4"), ("f8-big-endian", ">f8")]:
    (folder / f"{name}.npy").write_bytes(npy(gradient.astype(dtype)))
(folder / "version-2.npy").write_bytes(npy(gradient, version=(2, 0)))
(folder / "version-3.npy").write_bytes(npy(gradient, version=(3, 0)))
(folder / "fortran.npy").write_bytes(npy(np.asfortranarray(gradient)))
(folder / "integers.npy").write_bytes(npy(choice))
(folder / "three-dimensions.npy").write_bytes(npy(gradient[None]))


class Pipe(io.RawIOBase):
    """Written to once and never sought in, so that sizes come after the data."""

    def __init__(self):
        self.bytes = bytearray()

    def writable(self):
        return True

    def write(self, data):
        self.bytes += data
        return len(data)


def archive(name, members, compression, piped=False):
    stream = Pipe() if piped else io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as target:
        for member, array in members.items():
            # A fixed date, so that the bytes are the same every time; ZIP64 as numpy.savez asks for it.
            info = zipfile.ZipInfo(member + ".npy", date_time=(1980, 1, 1, 0, 0, 0))
            info.compress_type = compression
            with target.open(info, "w", force_zip64=True) as file:
                file.write(npy(array))
    data = bytes(stream.bytes) if piped else stream.getvalue()
    (folder / name).write_bytes(data)


full = {"choice": choice, "gradient": gradient.astype(np.float32), "coins": coins}
archive("stored.npz", full, zipfile.ZIP_STORED)
archive("deflated.npz", full, zipfile.ZIP_DEFLATED)
archive("piped.npz", full, zipfile.ZIP_DEFLATED, piped=True)
archive("single.npz", {"arr_0": gradient}, zipfile.ZIP_DEFLATED)
archive("piped-single.npz", {"gradient": gradient}, zipfile.ZIP_DEFLATED, piped=True)
archive("piped-stored.npz", {"gradient": gradient}, zipfile.ZIP_STORED, piped=True)
archive("nameless.npz", {"a": gradient, "b": gradient}, zipfile.ZIP_STORED)
