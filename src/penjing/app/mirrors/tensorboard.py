"""A run in TensorBoard: scalars by step, the recipe and what came of it as texts. Nothing of TensorBoard is needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import final

from penjing.app.mirrors.base import Run, Step, parameters_of, scores_of
from penjing.app.mirrors.events import EventFile, scalars, started_again, text
from penjing.store import Bundle


@final
class TensorBoardMirror:
    """See :class:`penjing.app.mirrors.base.Mirror`.

    Args:
        folder: of all runs.
    """

    name = "TensorBoard"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: EventFile | None = None
        self._last: int | None = None

    def begin(self, run: Run) -> None:
        """A new file in the run's folder, after those from before a kill."""
        self._file = EventFile(self._folder / f"{run.name}-{run.identity[:8]}")
        rows = "\n".join(f"    {key}: {value}" for key, value in parameters_of(run).items())  # a block, in Markdown
        self._file.add([text("recipe", rows)])

    def take(self, steps: Sequence[Step]) -> None:
        """Their figures; steps that are trained a second time, after a kill or going back, replace the first."""
        events = []
        for one in steps:
            if self._last is None or one.number <= self._last:
                events.append(started_again(one.number))
            self._last = one.number
            events.append(scalars(one.figures, step=one.number, at=one.at))
        if self._file:
            self._file.add(events)

    def end(self, bundle: Bundle, last: int) -> None:
        """Scores on the test split, and where the version lies."""
        if self._file:
            told = f"`{bundle.reference}`, SHA-256 `{bundle.digest}`; report: `{bundle.path / 'report.html'}`"
            figures = scores_of(bundle.manifest.metrics)
            self._file.add([scalars(figures, step=last), text("version", told, step=last)])
        self.break_off()

    def break_off(self) -> None:
        """What is there stays."""
        if self._file:
            self._file.close()
