"""Data of a benchmark, named on its command line: a folder, an archive, or the folder that holds the archive."""

import argparse
import os
import tarfile
from collections.abc import Callable
from pathlib import Path


def data_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a command line that begins with the data and knows `--json FILE`."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", default=os.environ.get("OUTFOLD_DATA"))
    parser.add_argument("--json", type=Path)
    return parser


def parse_with_data(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Return the arguments; end with an error for no data, named here or by OUTFOLD_DATA, or for less than one seed."""
    arguments = parser.parse_args()
    if getattr(arguments, "seeds", 1) < 1:
        parser.error("--seeds must be at least 1")
    if arguments.data is None:
        parser.error("name the data, or set OUTFOLD_DATA")
    arguments.data = Path(arguments.data)
    return arguments


def unpack(data: Path, scratch: Path, archive: str, wanted: Callable[[Path], bool] = lambda _: True) -> Path:
    """Return the folder of the data; an archive is unpacked below `scratch`, into a folder of its own name.

    Of an archive only the `wanted` files are unpacked.
    """
    if data.is_dir() and (data / archive).exists():
        data /= archive
    if data.is_dir():
        return data
    with tarfile.open(data) as opened:
        opened.extractall(scratch, (one for one in opened if one.isdir() or wanted(Path(one.name))), filter="data")
    return scratch / archive.partition(".")[0]
