"""The recent past as numpy arrays: ring buffers for the charts, and rates from running totals."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class Ring:
    """The last ``capacity`` records of named float64 fields; appending and viewing allocate nothing.

    Every value is written twice, half a buffer apart, so that the records in time order are always one slice.
    """

    def __init__(self, capacity: int, fields: Sequence[str]) -> None:
        """Make room for ``capacity`` records; raises ValueError when that is none or a field is named twice."""
        if capacity < 1:
            raise ValueError(f"a ring holds at least one record, not {capacity}")
        if len(set(fields)) != len(fields):
            raise ValueError(f"a field is named twice: {', '.join(fields)}")
        self.capacity = capacity
        self.fields = tuple(fields)
        self._columns = {name: row for row, name in enumerate(self.fields)}
        self._data = np.full((len(self.fields), 2 * capacity), np.nan)
        self._next = 0
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def append(self, *values: float) -> None:
        """Add one record, a value for each field in order; the oldest goes when the ring is full."""
        if len(values) != len(self.fields):
            raise ValueError(f"a record has {len(self.fields)} values, not {len(values)}")
        self._data[:, self._next] = values
        self._data[:, self._next + self.capacity] = values
        self._next = (self._next + 1) % self.capacity
        self._size = min(self._size + 1, self.capacity)

    def view(self, field: str) -> NDArray[np.float64]:
        """Return the field's values, oldest first, as a view: valid until the next append or clear."""
        end = self._next + self.capacity
        return self._data[self._columns[field], end - self._size : end]

    def last(self, field: str) -> float:
        """Return the field's newest value, NaN when there is none."""
        return float(self._data[self._columns[field], self._next + self.capacity - 1]) if self._size else float("nan")

    def clear(self) -> None:
        """Forget all records."""
        self._size = 0


class Rate:
    """A running total as a rate per second over the last ``window`` seconds.

    It starts anew, at a rate of 0, when the total or the clock goes back (another engine answers) and when nothing was
    heard for longer than the window (the machine slept): a rate across such a border would mean nothing.
    """

    def __init__(self, window: float = 5.0) -> None:
        """Use the totals of the last ``window`` seconds."""
        self.window = window
        self._points: deque[tuple[float, float]] = deque()

    def update(self, time: float, total: float) -> float:
        """Add the ``total`` at ``time`` (seconds) and return the rate per second."""
        points = self._points
        if points:
            before, last = points[-1]
            if time < before or total < last or time - before > self.window:
                points.clear()
            elif time == before:
                points.pop()
        points.append((time, total))
        # The newest point that is at least a window old stays as the start of the window.
        while len(points) > 2 and points[1][0] <= time - self.window:
            points.popleft()
        first, start = points[0]
        return (total - start) / (time - first) if time > first else 0.0

    def clear(self) -> None:
        """Forget the past."""
        self._points.clear()
