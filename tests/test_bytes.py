"""Our messages against the official clients', field by field and byte by byte."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from asking import ask, opened
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto
from second_gateway import SecondGateway, official
from second_rows import FIELDS, make_rows

from intake_futu_short.errors import UnknownSecurityError
from intake_futu_short.opend import messages_pb2 as ours
from intake_futu_short.opend.connection import Connection

if TYPE_CHECKING:
    from pathlib import Path

# Ours → the official module, and the names that snake case alone does not tell.
PAIRS = {
    "InitConnect": "InitConnect_pb2",
    "KeepAlive": "KeepAlive_pb2",
    "DailyShortVolume": "Qot_GetDailyShortVolume_pb2",
}
RENAMED = {
    "client_id": "clientID",
    "login_user_id": "loginUserID",
    "conn_id": "connID",
    "conn_aes_key": "connAESKey",
    "aes_cbc_iv": "aesCBCiv",
    "us_items": "usItemList",
    "hk_items": "hkItemList",
}
RENAMED_MESSAGES = {"UsItem": "UsDailyShortVolumeItem", "HkItem": "HkDailyShortVolumeItem"}
# Fields of official messages that we have no use for.
LEFT_OUT = {"InitConnect.C2S": ["aiType"]}

MESSAGES = [
    f"{outer}.{inner.name}"
    for outer in PAIRS
    for inner in ours.DESCRIPTOR.message_types_by_name[outer].nested_types
]
SENT = [name for name in MESSAGES if name.endswith((".Request", ".C2S", ".Security"))]


def official_name(name: str) -> str:
    return RENAMED.get(name) or re.sub(r"_(\w)", lambda match: match[1].upper(), name)


def our_class(name: str) -> Any:
    outer, inner = name.split(".")
    return getattr(getattr(ours, outer), inner)


def official_class(name: str) -> Any:
    if name == "DailyShortVolume.Security":
        return official("Qot_Common_pb2").Security
    outer, inner = name.split(".")
    return getattr(official(PAIRS[outer]), RENAMED_MESSAGES.get(inner, inner))


def fields_of(cls: Any) -> dict[int, FieldDescriptorProto]:
    """By number."""
    description = DescriptorProto()
    cls.DESCRIPTOR.CopyToProto(description)
    return {field.number: field for field in description.field}


def filled(cls: Any, chance: random.Random, presence: float) -> Any:
    """A message whose fields are there with the given probability; required ones always are."""
    message = cls()
    for number, field in fields_of(cls).items():
        if field.label != field.LABEL_REQUIRED and chance.random() >= presence:
            continue
        if field.type != field.TYPE_MESSAGE:
            setattr(message, field.name, _value(field, chance))
            continue
        kind = cls.DESCRIPTOR.fields_by_number[number].message_type._concrete_class
        child = getattr(message, field.name)
        if field.label == field.LABEL_REPEATED:
            child.extend(filled(kind, chance, presence) for _ in range(3))
        else:
            child.CopyFrom(filled(kind, chance, presence))
            child.SetInParent()
    return message


def _value(field: FieldDescriptorProto, chance: random.Random) -> str | float | bool:
    if field.type == field.TYPE_STRING:
        return chance.choice(["", "2026-06-18", "腾讯控股", "-1"])
    if field.type == field.TYPE_DOUBLE:
        return chance.choice([0.0, -0.0, 221.112467562, 1e-9, 1.7976931348623157e308, -5e-324])
    if field.type == field.TYPE_BOOL:
        return chance.choice([True, False])
    low, high = {
        field.TYPE_INT32: (-(2**31), 2**31 - 1),
        field.TYPE_INT64: (-(2**63), 2**63 - 1),
        field.TYPE_UINT64: (0, 2**64 - 1),
    }[field.type]
    return chance.choice([0, 1, low, high, chance.randint(low, high)])


def as_dict(message: Any, *, translate: bool) -> dict[str, Any]:
    """What is there, by the official names; what is absent is left out."""
    values: dict[str, Any] = {}
    for field, value in message.ListFields():
        name = official_name(field.name) if translate else field.name
        if field.message_type is None:
            values[name] = repr(value)  # 0.0 and -0.0 differ
        elif hasattr(value, "ListFields"):
            values[name] = as_dict(value, translate=translate)
        else:
            values[name] = [as_dict(item, translate=translate) for item in value]
    return values


def without_the_left_out(name: str, message: Any) -> Any:
    """The official message with only what ours has."""
    holder, key = message, name
    if name.endswith(".Request"):
        holder, key = message.c2s, name.replace("Request", "C2S")
    for left_out in LEFT_OUT.get(key, []):
        holder.ClearField(left_out)
    return message


@pytest.mark.parametrize("name", MESSAGES)
def test_every_field_has_the_official_number_type_and_default(name: str) -> None:
    expected = {
        number: (field.name, field.type, field.default_value, field.label == field.LABEL_REPEATED)
        for number, field in fields_of(official_class(name)).items()
        if field.name not in LEFT_OUT.get(name, [])
    }
    assert {
        number: (
            official_name(field.name),
            field.type,
            field.default_value,
            field.label == field.LABEL_REPEATED,
        )
        for number, field in fields_of(our_class(name)).items()
    } == expected


@pytest.mark.parametrize("name", SENT)
def test_what_we_send_requires_what_the_official_messages_require(name: str) -> None:
    def required(cls: Any) -> set[int]:
        return {n for n, field in fields_of(cls).items() if field.label == field.LABEL_REQUIRED}

    assert required(our_class(name)) == required(official_class(name))


@pytest.mark.parametrize("presence", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("name", MESSAGES)
def test_official_messages_parse_here_and_ours_parse_there(name: str, presence: float) -> None:
    chance = random.Random(f"{name} {presence}")
    own, theirs = our_class(name), official_class(name)
    for _ in range(30):
        sent = without_the_left_out(name, filled(theirs, chance, presence))
        received = own.FromString(sent.SerializeToString())
        assert as_dict(received, translate=True) == as_dict(sent, translate=False)
        made_here = own()
        made_here.CopyFrom(received)
        assert theirs.FromString(made_here.SerializeToString()) == sent


@pytest.mark.parametrize("market", FIELDS)
def test_rows_of_the_wire_read_the_same_with_fields_missing(market: str) -> None:
    rows = make_rows(market, 300, seed=7, missing=0.4)
    response = official("Qot_GetDailyShortVolume_pb2").Response(retType=0)
    items = response.s2c.usItemList if market == "US" else response.s2c.hkItemList
    for row in rows:
        items.add(**row)
    received = ours.DailyShortVolume.Response.FromString(response.SerializeToString()).s2c
    own_items: Any = received.us_items if market == "US" else received.hk_items
    other_items: Any = received.hk_items if market == "US" else received.us_items
    assert not other_items
    for item, row in zip(own_items, rows, strict=True):
        for name, column in FIELDS[market].items():
            assert item.HasField(column) is (name in row)
            if name in row:
                assert getattr(item, column) == row[name]
                assert type(getattr(item, column)) is type(row[name])
    assert not received.HasField("next_key")


# -- requests -----------------------------------------------------------------------------------

ARGUMENTS: list[tuple[str, str | None, int | None]] = [
    ("US.AAPL", None, None),
    ("US.AAPL", None, 50),
    ("US.BRK.B", "1718769600", None),
    ("US..DJI", "any key", 1),
    ("HK.00700", "", 10),
    ("HK.00700", "游标", 50),
]
PACK = """
import json, sys
from futu.quote.quote_query import GetDailyShortVolumeQuery, InitConnect
frames = []
for code, next_key, num in json.loads(sys.argv[1]):
    ret, message, data, proto_id, serial = GetDailyShortVolumeQuery.pack_req(code, 0, next_key, num)
    assert ret == 0, message
    frames.append(bytes(data).hex())
ret, message, data, proto_id, serial = InitConnect.pack_req(300, "x", False, False, 0)
assert ret == 0, message
sys.stdout.write(json.dumps([frames, bytes(data).hex()]))
sys.stdout.flush()
import os
os._exit(0)  # the official client's threads would linger
"""


def in_a_process_of_its_own(script: str, home: Path, *arguments: str) -> str:
    environment = {**os.environ, "HOME": str(home), "USERPROFILE": str(home)}
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[bytes], bytes]:
    """Frames that the official client packs for `ARGUMENTS`, and the one of its handshake."""
    home = tmp_path_factory.mktemp("home")
    pages, handshake = json.loads(in_a_process_of_its_own(PACK, home, json.dumps(ARGUMENTS)))
    return [bytes.fromhex(page) for page in pages], bytes.fromhex(handshake)


@pytest.mark.parametrize("i", range(len(ARGUMENTS)), ids=map(str, ARGUMENTS))
def test_our_request_is_the_official_client_s(packed: tuple[list[bytes], bytes], i: int) -> None:
    code, next_key, num = ARGUMENTS[i]
    expected = packed[0][i]
    with SecondGateway() as gateway, pytest.raises(UnknownSecurityError):
        ask(opened(gateway), code, next_key, num)
    sent = gateway.frames[-1]
    assert sent[:8] == expected[:8]  # all but the serial number, which each side counts by itself
    assert sent[12:] == expected[12:]


def test_our_handshake_differs_from_the_official_client_s_in_name_and_usage_only(
    packed: tuple[list[bytes], bytes],
) -> None:
    connection = Connection("opend://127.0.0.1:11111")
    connection.open()
    messages = official("InitConnect_pb2")
    expected = messages.Request.FromString(packed[1][44:])
    sent = messages.Request.FromString(connection.data_to_send()[44:])
    assert expected.c2s.aiType == 0
    expected.c2s.ClearField("aiType")
    expected.c2s.clientID = "intake-futu-short"
    assert sent == expected


# -- side by side in one process ----------------------------------------------------------------

OURS = "from intake_futu_short.opend import messages_pb2"
ORDERS = [
    [OURS, "import futu", "import moomoo"],
    ["import futu", OURS, "import moomoo"],
    ["import futu", "import moomoo", OURS],
    [OURS, "import moomoo", "import futu"],
    ["import moomoo", OURS, "import futu"],
    ["import moomoo", "import futu", OURS],
]
PARSE = """
from futu.common.pb import Qot_GetDailyShortVolume_pb2 as f
from moomoo.common.pb import Qot_GetDailyShortVolume_pb2 as m
body = messages_pb2.DailyShortVolume.Response(ret_type=0, ret_msg="ok").SerializeToString()
assert f.Response.FromString(body).retMsg == m.Response.FromString(body).retMsg == "ok"
import os
os._exit(0)
"""


@pytest.mark.parametrize("order", ORDERS, ids=" ".join)
def test_it_lives_beside_both_official_clients_imported_in_any_order(
    order: list[str], tmp_path: Path
) -> None:
    in_a_process_of_its_own("\n".join([*order, PARSE]), tmp_path)
