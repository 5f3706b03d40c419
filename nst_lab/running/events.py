"""TensorBoard event files, appended to record by record, so that a killed process leaves nothing half written."""

import os
import time
from collections.abc import Iterable
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from nst_lab.running.appending import Appended

PATTERN = "events.out.tfevents.*"


class EventFile:
    """A new event file in a folder, read after those that are there already.

    Unbuffered, and one record per `add`: its length is at any moment that of complete records. Their times never go
    backwards, even if the clock is set back.
    """

    def __init__(self, folder: Path):
        earlier = sorted(folder.glob(PATTERN))
        # Readers go by name: the time of the first file and a number, so that a clock set back cannot change the order.
        first = earlier[0].name.rpartition(".")[0] if earlier else f"events.out.tfevents.{time.time():.0f}"
        self.path = folder / f"{first}.{len(earlier):03d}"
        self.file = Appended(self.path, "x")
        self.records = RecordWriter(self.file)
        self.zero = time.time() - time.monotonic()
        try:
            self._write(Event(file_version="brain.Event:2"))
        except OSError:
            self.close()
            raise

    def add(self, summaries: Iterable[Summary], step: int = 0) -> None:
        """Append summaries (`torch.utils.tensorboard.summary`) of one step as one record."""
        merged = Summary(value=[value for summary in summaries for value in summary.value])
        self._write(Event(step=step, summary=merged))

    def _write(self, event: Event) -> None:
        event.wall_time = self.zero + time.monotonic()
        self.records.write(event.SerializeToString())

    def sync(self) -> None:
        """Wait until what was written is on the disk."""
        os.fsync(self.file.fileno())

    def close(self) -> None:
        """No more records."""
        self.records.close()
