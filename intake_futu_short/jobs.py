"""Jobs done together in threads that live no longer than they do."""

from __future__ import annotations

import threading
from collections import deque
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Job = Callable[[], object]
    # Numbers of jobs that are done, and their errors.
    Results = SimpleQueue[tuple[int, BaseException | None]]

__all__ = ["run_jobs"]

# How often what is shown is brought up to date while nothing comes.
TICK_S = 0.25
# How long a job that was told to stop has until it is told again.
STOP_AGAIN_S = 0.02


def run_jobs(
    jobs: Sequence[Job],
    at_once: int,
    *,
    concerns_all: Callable[[Exception], bool],
    stop: Callable[[], None],
    tick: Callable[[int], None],
) -> dict[int, Exception]:
    """Begin jobs in their order, each in a daemon thread, and wait until all are done.

    An error that concerns all is raised at once, as is an interruption of the waiting (Ctrl-C); the
    jobs under way are stopped then. No thread outlives the call, or holds the process open.

    Parameters
    ----------
    jobs : sequence of callable
        What is to be done.
    at_once : int
        How many are done at a time.
    concerns_all : callable
        Whether the error of a job ends the others too.
    stop : callable
        Makes the jobs under way end soon; called until they have.
    tick : callable
        Told, in the thread of the caller, how many jobs are done; several times a second.

    Returns
    -------
    dict of int to Exception
        The other errors, by the number of the job.
    """
    todo = deque(enumerate(jobs))
    results: Results = SimpleQueue()
    threads = [
        threading.Thread(
            target=_work, args=(todo, results), name="intake-futu-short-reader", daemon=True
        )
        for _ in range(min(at_once, len(jobs)))
    ]
    try:
        for thread in threads:
            thread.start()
        failures = _collect(results, len(jobs), concerns_all, tick)
    except BaseException:
        todo.clear()
        stop()
        # A job may have been between two requests when it was told.
        while alive := [thread for thread in threads if thread.is_alive()]:
            alive[0].join(STOP_AGAIN_S)
            stop()
        raise
    for thread in threads:
        thread.join()
    return failures


def _collect(
    results: Results,
    number_of_jobs: int,
    concerns_all: Callable[[Exception], bool],
    tick: Callable[[int], None],
) -> dict[int, Exception]:
    """Wait for what comes of the jobs; errors by number, but for one that concerns all."""
    failures: dict[int, Exception] = {}
    done = 0
    while done < number_of_jobs:
        tick(done)
        try:
            number, error = results.get(timeout=TICK_S)
        except Empty:
            continue
        done += 1
        if error is None:
            continue
        if not isinstance(error, Exception) or concerns_all(error):
            raise error
        failures[number] = error
    tick(done)
    return failures


def _work(todo: deque[tuple[int, Job]], results: Results) -> None:
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
