"""The official client, unchanged, reading one ticker to the end.

    python official_client.py HOST PORT CODE [NUM [RSA_KEY]]

It prints JSON: ``{"pages": [...], "error": null}``. A page holds its two frames,
``us`` and ``hk``, each as ``columns``, ``dtypes``, ``rows`` (lists of values) and ``attrs``;
``error`` is what the client said when the gateway refused. It reads 100 pages at most.
With the path of an RSA key it encrypts.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def as_json(frame: pd.DataFrame) -> dict[str, Any]:
    return {
        "columns": list(frame.columns),
        "dtypes": [str(dtype) for dtype in frame.dtypes],
        "rows": [list(row) for row in frame.astype(object).itertuples(index=False)],
        "attrs": frame.attrs,
    }


def read(host: str, port: int, code: str, num: int | None, rsa_key: str | None) -> dict[str, Any]:
    from futu import RET_OK, OpenQuoteContext, SysConfig  # noqa: PLC0415 - stdout is replaced first

    if rsa_key is not None:
        SysConfig.enable_proto_encrypt(is_encrypt=True)
        SysConfig.set_init_rsa_file(rsa_key)
    pages: list[dict[str, Any]] = []
    context = OpenQuoteContext(host=host, port=port)
    next_key = None
    while next_key != "-1" and len(pages) < 100:
        ret, us, hk = context.get_daily_short_volume(code, next_key=next_key, num=num)
        if ret != RET_OK:
            context.close()
            return {"pages": pages, "error": us}
        pages.append({"us": as_json(us), "hk": as_json(hk)})
        next_key = (us if code.startswith("US") else hk).attrs["next_key"]
    context.close()
    return {"pages": pages, "error": None}


if __name__ == "__main__":
    # The client logs to standard output, from several threads: that goes where errors go.
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    _, host, port, code, *rest = sys.argv
    num = int(rest[0]) if rest and rest[0] else None
    rsa_key = rest[1] if len(rest) > 1 else None
    output.write(json.dumps(read(host, int(port), code, num, rsa_key)))
    output.close()
    os._exit(0)  # its threads would keep the process
