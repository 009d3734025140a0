"""Jobs done together in threads that live no longer than they do."""

from __future__ import annotations

import threading
from collections import deque
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Job = Callable[[], object]

__all__ = ["Crew"]

# How often what is shown is brought up to date while nothing comes.
TICK_S = 0.25
# How long a job that was told to stop has until it is told again.
STOP_AGAIN_S = 0.02


class Crew:
    """Does jobs in daemon threads, which hold no process open and end with `run`.

    Parameters
    ----------
    at_once : int
        How many jobs are done at a time.
    concerns_all : callable
        Whether the error of a job ends the others too.
    stop : callable
        Makes the jobs under way end soon; called until they have.
    tick : callable
        Told, in the thread that called `run`, how many jobs are done; several times a second.
    """

    def __init__(
        self,
        at_once: int,
        *,
        concerns_all: Callable[[Exception], bool],
        stop: Callable[[], None],
        tick: Callable[[int], None],
    ) -> None:
        self._at_once = at_once
        self._concerns_all = concerns_all
        self._stop = stop
        self._tick = tick

    def run(self, jobs: Sequence[Job]) -> dict[int, Exception]:
        """Begin jobs in their order, and wait until all are done.

        An error that concerns all is raised at once, as is an interruption of the waiting
        (Ctrl-C); the jobs under way are stopped then.

        Returns
        -------
        dict of int to Exception
            The other errors, by the number of the job.
        """
        todo = deque(enumerate(jobs))
        results: SimpleQueue[tuple[int, BaseException | None]] = SimpleQueue()
        threads = [
            threading.Thread(
                target=_work, args=(todo, results), name="intake-futu-short-reader", daemon=True
            )
            for _ in range(min(self._at_once, len(jobs)))
        ]
        try:
            for thread in threads:
                thread.start()
            failures = self._wait(len(jobs), results)
        except BaseException:
            todo.clear()
            self._stop()
            # A job may have been between two requests when it was told.
            while alive := [thread for thread in threads if thread.is_alive()]:
                alive[0].join(STOP_AGAIN_S)
                self._stop()
            raise
        for thread in threads:
            thread.join()
        return failures

    def _wait(
        self, number_of_jobs: int, results: SimpleQueue[tuple[int, BaseException | None]]
    ) -> dict[int, Exception]:
        failures: dict[int, Exception] = {}
        done = 0
        while done < number_of_jobs:
            self._tick(done)
            try:
                number, error = results.get(timeout=TICK_S)
            except Empty:
                continue
            done += 1
            if error is None:
                continue
            if not isinstance(error, Exception) or self._concerns_all(error):
                raise error
            failures[number] = error
        self._tick(done)
        return failures


def _work(
    todo: deque[tuple[int, Job]], results: SimpleQueue[tuple[int, BaseException | None]]
) -> None:
    while True:
        try:
            number, job = todo.popleft()
        except IndexError:
            return
        error: BaseException | None = None
        try:
            job()
        except BaseException as raised:  # noqa: BLE001 - raised again in the thread that waits
            error = raised
        results.put((number, error))
