"""A wish to stop, noted and obeyed at the end of a step."""

import signal
from types import FrameType


class StopSignal:
    """SIGTERM and SIGINT. A second SIGINT interrupts at once."""

    def __init__(self) -> None:
        self.number = 0
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self.number = number
        signal.signal(signal.SIGINT, signal.default_int_handler)
