"""The data a benchmark is named on its command line: a folder, an archive, or the folder that holds the archive."""

import argparse
import os
import tarfile
from pathlib import Path


def data_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a command line that begins with the data and knows `--json FILE`."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", default=os.environ.get("OUTFOLD_DATA"))
    parser.add_argument("--json", type=Path)
    return parser


def parsed_with_data(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Return what was asked for; ends with a word where neither the command line nor OUTFOLD_DATA names the data."""
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("name the data, or set OUTFOLD_DATA")
    arguments.data = Path(arguments.data)
    return arguments


def unpacked(data: Path, scratch: Path, archive: str) -> Path:
    """Return the folder of the data; an archive is unpacked below `scratch`, into a folder of its own name."""
    if data.is_dir() and (data / archive).exists():
        data /= archive
    if data.is_dir():
        return data
    with tarfile.open(data) as opened:
        opened.extractall(scratch, filter="data")
    return scratch / archive.partition(".")[0]
