"""Write a made-up table in the format of the Kaggle A-Z letters, of any size.

``python -m benchmarks.made_up_csv OUT.csv [ROWS]``. The letters are rendered ones, each of them
used many times where the table is large; the classes are as uneven as the real ones.
"""

import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

from alutils.base.files import atomic_file
from alutils.data.rendering import class_counts, render_letters

KAGGLE_ROWS = 372_450
STOCK = 40  # different letters of each class

_AT_ONCE = 10_000  # rows


def write(path: Path, n_rows: int, seed: int = 0, header: str = "", stock: int = STOCK) -> Path:
    """Write a table of rendered letters: the same bytes for the same arguments.

    Parameters
    ----------
    path
        The file to write.
    n_rows
        Rows, 26 or more, in random order, in the proportions of the Kaggle table.
    seed
        Of the letters and their order.
    header
        First line, without its end; none if empty.
    stock
        How many different letters of each class there are.
    """
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(26), class_counts(n_rows)))
    choices = rng.integers(stock, size=n_rows)
    images, of = render_letters(np.full(26, stock), rng)
    rows = [
        [",".join(map(str, [label, *image.ravel().tolist()])) for image in images[of == label]]
        for label in range(26)
    ]
    with atomic_file(path) as file:
        if header:
            file.write(f"{header}\n".encode())
        for start in tqdm(range(0, n_rows, _AT_ONCE), desc=path.name, disable=n_rows < 50_000):
            part = slice(start, start + _AT_ONCE)
            pairs = zip(labels[part].tolist(), choices[part].tolist(), strict=True)
            file.write("".join(f"{rows[label][i]}\n" for label, i in pairs).encode())
    return path


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else KAGGLE_ROWS)
