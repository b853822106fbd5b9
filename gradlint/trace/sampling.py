"""Which events read the memory of devices: all at places that are seldom come to, one in ever more where it is often.

To read a device's statistics costs tens of microseconds, ten times what all else of an event does. Left out are whole
regions, their beginning and end: what they used is then in the peak of the next event that reads, and belongs to every
region that began and ends with one. So those peaks stay exact, and only of the regions left out is less known.
"""

ALL = 64  # twice as many events of a place are read without exception; later ones are one in ``times / ALL``
FEWEST = 32  # at least one in so many is read


class Sampling:
    """Counts the events of each place; what it says hangs on nothing else."""

    def __init__(self) -> None:
        self._times: dict[int, int] = {}

    def reads(self, place: int) -> bool:
        """Something happens at a place; whether devices are to be read."""
        times = self._times[place] = self._times.get(place, 0) + 1
        every = min(1 << max((times // ALL).bit_length() - 1, 0), FEWEST)
        return times % every == 0
