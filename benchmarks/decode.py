"""30 captured answers of 50 rows → one frame with attributes: ours against the official client.

Client side only, no socket: both start from the same bytes of the same answers. The official side
is its own code, from parsing to the frames of ``get_daily_short_volume``, and the ``concat`` that
its users write; ours is what ``FutuShortSource.read`` does. The two run in turn in one process.

    pip install ".[bench]"
    python benchmarks/decode.py
"""

from __future__ import annotations

import contextlib
import statistics
import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from intake_futu_short import schema
from intake_futu_short.calls import SHORT_VOLUME, Reply, Ticker
from intake_futu_short.gateway import Gateway, sample_histories
from intake_futu_short.opend import replies
from intake_futu_short.opend.address import GatewayURL
from intake_futu_short.opend.messages_pb2 import DailyShortVolume
from intake_futu_short.reading import open_gateways, read
from intake_futu_short.security import Security
from intake_futu_short.walk import Walk

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from intake_futu_short.calls import Question

PAGES = 30
ROWS = 50
ROUNDS = 40


def captured_answers(code: str) -> list[bytes]:
    """Bodies of the answers to a walk of 30 pages of 50 rows each."""
    ticker = Ticker(Security.parse(code), SHORT_VOLUME)
    bodies: list[bytes] = []

    def capture() -> Generator[Question, Reply, None]:
        key: str | None = None
        for _ in range(PAGES):
            answer = (yield ticker.question(key, ROWS)).answer
            key = answer.next_key
            response = DailyShortVolume.Response(ret_type=0, s2c=answer)
            bodies.append(response.SerializeToString())

    with Gateway(sample_histories()) as gateway:
        gateways = open_gateways([GatewayURL.parse(f"{gateway.url}?limit=off")], 12.0)
        read({code: capture()}, gateways)
        gateways.close()
    return bodies


def ours(bodies: Sequence[bytes], code: str) -> pd.DataFrame:
    """What `FutuShortSource.read` does with the answers."""
    ticker = Ticker(Security.parse(code), SHORT_VOLUME)
    walk = Walk(ticker, num=ROWS, max_pages=PAGES)
    questions = walk.load()
    next(questions)
    for body in bodies:
        answer = replies.decode(DailyShortVolume.Response, body, "benchmark").s2c
        with contextlib.suppress(StopIteration):
            questions.send(Reply(answer))
    frame = schema.to_frame(walk.pages, ticker.table)
    frame.attrs.update(schema.attributes(ticker, walk.next_key, walk.attrs))
    return frame


def official(bodies: Sequence[bytes], code: str) -> pd.DataFrame:
    """What the official client, and the ``concat`` of its users, do with the answers."""
    from futu import OpenQuoteContext  # noqa: PLC0415 - it writes into $HOME, which is set below
    from futu.common.pb.Qot_GetDailyShortVolume_pb2 import Response  # noqa: PLC0415 - likewise

    answers = iter(bodies)

    def processor(_pack: Any, unpack: Any) -> Callable[..., Any]:
        def query(**_arguments: Any) -> Any:
            response = Response()
            response.ParseFromString(next(answers))
            return unpack(response)

        return query

    context = object.__new__(OpenQuoteContext)  # its constructor would connect
    context._get_sync_query_processor = processor
    context.get_sync_conn_id = lambda: 0
    frames: list[pd.DataFrame] = [
        context.get_daily_short_volume(code)[1 if code[:2] == "US" else 2] for _ in bodies
    ]
    return pd.concat(frames, ignore_index=True)


def seconds(
    function: Callable[[Sequence[bytes], str], object], bodies: Sequence[bytes], code: str
) -> float:
    """Seconds one call takes."""
    begin = time.perf_counter()
    function(bodies, code)
    return time.perf_counter() - begin


def main() -> None:
    """Print medians and the ratio of each market."""
    for code in ("US.SAMPLE", "HK.SAMPLE"):
        bodies = captured_answers(code)
        pd.testing.assert_frame_equal(ours(bodies, code), official(bodies, code), check_dtype=False)
        ratios, mine, theirs = [], [], []
        for _ in range(ROUNDS):
            theirs.append(seconds(official, bodies, code))
            mine.append(seconds(ours, bodies, code))
            ratios.append(theirs[-1] / mine[-1])
        print(
            f"{code}: {PAGES} pages of {ROWS} rows, {ROUNDS} rounds in turn: "
            f"ours {1e3 * statistics.median(mine):.2f} ms, "
            f"official {1e3 * statistics.median(theirs):.2f} ms, "
            f"ratio {statistics.median(ratios):.1f} "
            f"({min(ratios):.1f} to {max(ratios):.1f})"
        )


if __name__ == "__main__":
    import os

    # The official client writes log files into the home directory.
    os.environ["HOME"] = tempfile.mkdtemp()
    warnings.simplefilter("ignore")  # the official client calls what is deprecated
    assert Path(os.environ["HOME"]).is_dir()
    main()
    os._exit(0)  # its threads would keep the process
