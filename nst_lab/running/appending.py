"""Files that grow piece by piece: a piece is there whole or not at all, on a disk that fills up as well."""

from pathlib import Path


class Appended:
    """An unbuffered file to append to.

    Where room ends in the middle of a piece, the system writes what fits and says only how much that was. The rest is
    tried again, and what a reader would take for a broken line or record is cut off.

    Args:
        path: the file.
        mode: `a` to go on with it, `x` for a new one.
    """

    def __init__(self, path: Path, mode: str):
        self.file = path.open(f"{mode}b", buffering=0)

    def write(self, piece: bytes) -> None:
        """Append a piece.

        Raises:
            OSError: it does not fit; the file is as it was before.
        """
        start, rest = self.file.tell(), memoryview(piece)
        try:
            while rest:
                rest = rest[self.file.write(rest) :]
        except OSError:
            self.file.truncate(start)
            self.file.seek(start)
            raise

    def flush(self) -> None:
        """Nothing waits to be written; part of what a record writer asks of a file."""

    def fileno(self) -> int:
        """For `os.fsync`."""
        return self.file.fileno()

    def close(self) -> None:
        """Write no more."""
        self.file.close()
