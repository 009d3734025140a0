"""Bodies of answers → messages, or errors. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from intake_futu_short.errors import (
    ProtocolError,
    QuoteRightError,
    RateLimitError,
    ReplyError,
    UnknownSecurityError,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ADVICE", "OK", "decode", "text"]

OK = 0
ADVICE = "Read again; if it stays so, update OpenD"

# Only the text of a refusal tells its kind, in the language to which the gateway is set.
_KINDS: Sequence[tuple[re.Pattern[str], type[ReplyError], str]] = (
    (
        re.compile(r"频率太高|too frequent", re.IGNORECASE),
        RateLimitError,
        "Wait 30 seconds; other programs that use this gateway count too.",
    ),
    (
        re.compile(r"未知股票|unknown stock", re.IGNORECASE),
        UnknownSecurityError,
        "Check the code: US symbols are in capitals (US.AAPL), HK stocks have five digits "
        "(HK.00700).",
    ),
    (
        re.compile(r"权限|quote is not available|no (quote )?(right|permission)", re.IGNORECASE),
        QuoteRightError,
        "The account that OpenD is logged in with has no right to these quotes.",
    ),
    (
        re.compile(r"NN_ProtoRet_SvrFailed"),
        ReplyError,
        "OpenD may be too old for this call, or its server is in trouble: update OpenD.",
    ),
    (
        re.compile(r"NN_ProtoRet_(TimeOut|ByDisConnOrCacnel)"),
        ReplyError,
        "OpenD has lost touch with its servers: check its login and its network.",
    ),
)


def text(value: str | bytes) -> str:
    """Text of a protobuf string. Protobuf returns bytes when it is not UTF-8."""
    return value if isinstance(value, str) else value.decode("utf-8", errors="replace")


def decode(kind: Any, body: bytes, asked: str) -> Any:
    """Decode the body of an answer that must be a success.

    Parameters
    ----------
    kind : type
        The response message.
    body : bytes
        Plaintext body of the frame.
    asked : str
        The question and the gateway, with which error messages begin.

    Raises
    ------
    ProtocolError
        When the body is no such message, or a success without content.
    ReplyError
        When the gateway refused. The subclass says why, if the gateway's text does.
    """
    response = kind()
    try:
        response.ParseFromString(body)
    except DecodeError as error:
        raise ProtocolError(
            f"{asked}: the body of the answer ({len(body)} bytes) is not a message of the "
            f"protocol. {ADVICE}"
        ) from error
    if not response.HasField("ret_type"):
        raise ProtocolError(
            f"{asked}: the answer says neither success nor failure (no retType). {ADVICE}"
        )
    if response.ret_type != OK:
        raise _refusal(response.ret_type, response.err_code, text(response.ret_msg), asked)
    if not response.HasField("s2c"):
        raise ProtocolError(
            f"{asked}: the gateway reported success and sent no content (no s2c). {ADVICE}"
        )
    return response


def _refusal(ret_type: int, err_code: int, message: str, asked: str) -> ReplyError:
    words = f"the gateway answered {message!r}" if message else "the gateway refused without a word"
    kind, advice = next(
        ((kind, advice) for pattern, kind, advice in _KINDS if pattern.search(message)),
        (ReplyError, "If the words do not help, see what OpenD's own window says, or update it."),
    )
    code = f", errCode {err_code}" if err_code else ""
    return kind(
        f"{asked}: {words} (retType {ret_type}{code}). {advice}",
        ret_type=ret_type,
        err_code=err_code,
        message=message,
    )
