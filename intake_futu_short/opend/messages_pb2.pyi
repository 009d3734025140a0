from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class InitConnect(_message.Message):
    __slots__ = ()
    class C2S(_message.Message):
        __slots__ = ("client_ver", "client_id", "recv_notify", "packet_enc_algo", "push_proto_fmt", "programming_language")
        CLIENT_VER_FIELD_NUMBER: _ClassVar[int]
        CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
        RECV_NOTIFY_FIELD_NUMBER: _ClassVar[int]
        PACKET_ENC_ALGO_FIELD_NUMBER: _ClassVar[int]
        PUSH_PROTO_FMT_FIELD_NUMBER: _ClassVar[int]
        PROGRAMMING_LANGUAGE_FIELD_NUMBER: _ClassVar[int]
        client_ver: int
        client_id: str
        recv_notify: bool
        packet_enc_algo: int
        push_proto_fmt: int
        programming_language: str
        def __init__(self, client_ver: _Optional[int] = ..., client_id: _Optional[str] = ..., recv_notify: bool = ..., packet_enc_algo: _Optional[int] = ..., push_proto_fmt: _Optional[int] = ..., programming_language: _Optional[str] = ...) -> None: ...
    class S2C(_message.Message):
        __slots__ = ("server_ver", "login_user_id", "conn_id", "conn_aes_key", "keep_alive_interval", "aes_cbc_iv", "user_attribution")
        SERVER_VER_FIELD_NUMBER: _ClassVar[int]
        LOGIN_USER_ID_FIELD_NUMBER: _ClassVar[int]
        CONN_ID_FIELD_NUMBER: _ClassVar[int]
        CONN_AES_KEY_FIELD_NUMBER: _ClassVar[int]
        KEEP_ALIVE_INTERVAL_FIELD_NUMBER: _ClassVar[int]
        AES_CBC_IV_FIELD_NUMBER: _ClassVar[int]
        USER_ATTRIBUTION_FIELD_NUMBER: _ClassVar[int]
        server_ver: int
        login_user_id: int
        conn_id: int
        conn_aes_key: str
        keep_alive_interval: int
        aes_cbc_iv: str
        user_attribution: int
        def __init__(self, server_ver: _Optional[int] = ..., login_user_id: _Optional[int] = ..., conn_id: _Optional[int] = ..., conn_aes_key: _Optional[str] = ..., keep_alive_interval: _Optional[int] = ..., aes_cbc_iv: _Optional[str] = ..., user_attribution: _Optional[int] = ...) -> None: ...
    class Request(_message.Message):
        __slots__ = ("c2s",)
        C2S_FIELD_NUMBER: _ClassVar[int]
        c2s: InitConnect.C2S
        def __init__(self, c2s: _Optional[_Union[InitConnect.C2S, _Mapping]] = ...) -> None: ...
    class Response(_message.Message):
        __slots__ = ("ret_type", "ret_msg", "err_code", "s2c")
        RET_TYPE_FIELD_NUMBER: _ClassVar[int]
        RET_MSG_FIELD_NUMBER: _ClassVar[int]
        ERR_CODE_FIELD_NUMBER: _ClassVar[int]
        S2C_FIELD_NUMBER: _ClassVar[int]
        ret_type: int
        ret_msg: str
        err_code: int
        s2c: InitConnect.S2C
        def __init__(self, ret_type: _Optional[int] = ..., ret_msg: _Optional[str] = ..., err_code: _Optional[int] = ..., s2c: _Optional[_Union[InitConnect.S2C, _Mapping]] = ...) -> None: ...
    def __init__(self) -> None: ...

class KeepAlive(_message.Message):
    __slots__ = ()
    class C2S(_message.Message):
        __slots__ = ("time",)
        TIME_FIELD_NUMBER: _ClassVar[int]
        time: int
        def __init__(self, time: _Optional[int] = ...) -> None: ...
    class S2C(_message.Message):
        __slots__ = ("time",)
        TIME_FIELD_NUMBER: _ClassVar[int]
        time: int
        def __init__(self, time: _Optional[int] = ...) -> None: ...
    class Request(_message.Message):
        __slots__ = ("c2s",)
        C2S_FIELD_NUMBER: _ClassVar[int]
        c2s: KeepAlive.C2S
        def __init__(self, c2s: _Optional[_Union[KeepAlive.C2S, _Mapping]] = ...) -> None: ...
    class Response(_message.Message):
        __slots__ = ("ret_type", "ret_msg", "err_code", "s2c")
        RET_TYPE_FIELD_NUMBER: _ClassVar[int]
        RET_MSG_FIELD_NUMBER: _ClassVar[int]
        ERR_CODE_FIELD_NUMBER: _ClassVar[int]
        S2C_FIELD_NUMBER: _ClassVar[int]
        ret_type: int
        ret_msg: str
        err_code: int
        s2c: KeepAlive.S2C
        def __init__(self, ret_type: _Optional[int] = ..., ret_msg: _Optional[str] = ..., err_code: _Optional[int] = ..., s2c: _Optional[_Union[KeepAlive.S2C, _Mapping]] = ...) -> None: ...
    def __init__(self) -> None: ...

class Security(_message.Message):
    __slots__ = ("market", "code")
    MARKET_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    market: int
    code: str
    def __init__(self, market: _Optional[int] = ..., code: _Optional[str] = ...) -> None: ...

class DailyShortVolume(_message.Message):
    __slots__ = ()
    class C2S(_message.Message):
        __slots__ = ("security", "next_key", "num")
        SECURITY_FIELD_NUMBER: _ClassVar[int]
        NEXT_KEY_FIELD_NUMBER: _ClassVar[int]
        NUM_FIELD_NUMBER: _ClassVar[int]
        security: Security
        next_key: str
        num: int
        def __init__(self, security: _Optional[_Union[Security, _Mapping]] = ..., next_key: _Optional[str] = ..., num: _Optional[int] = ...) -> None: ...
    class UsItem(_message.Message):
        __slots__ = ("timestamp", "timestamp_str", "total_shares_short", "nasdaq_shares_short", "nyse_shares_short", "short_percent", "volume", "close_price", "last_close_price", "daily_trade_avg_ratio")
        TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
        TIMESTAMP_STR_FIELD_NUMBER: _ClassVar[int]
        TOTAL_SHARES_SHORT_FIELD_NUMBER: _ClassVar[int]
        NASDAQ_SHARES_SHORT_FIELD_NUMBER: _ClassVar[int]
        NYSE_SHARES_SHORT_FIELD_NUMBER: _ClassVar[int]
        SHORT_PERCENT_FIELD_NUMBER: _ClassVar[int]
        VOLUME_FIELD_NUMBER: _ClassVar[int]
        CLOSE_PRICE_FIELD_NUMBER: _ClassVar[int]
        LAST_CLOSE_PRICE_FIELD_NUMBER: _ClassVar[int]
        DAILY_TRADE_AVG_RATIO_FIELD_NUMBER: _ClassVar[int]
        timestamp: int
        timestamp_str: str
        total_shares_short: int
        nasdaq_shares_short: int
        nyse_shares_short: int
        short_percent: float
        volume: int
        close_price: float
        last_close_price: float
        daily_trade_avg_ratio: float
        def __init__(self, timestamp: _Optional[int] = ..., timestamp_str: _Optional[str] = ..., total_shares_short: _Optional[int] = ..., nasdaq_shares_short: _Optional[int] = ..., nyse_shares_short: _Optional[int] = ..., short_percent: _Optional[float] = ..., volume: _Optional[int] = ..., close_price: _Optional[float] = ..., last_close_price: _Optional[float] = ..., daily_trade_avg_ratio: _Optional[float] = ...) -> None: ...
    class HkItem(_message.Message):
        __slots__ = ("timestamp", "timestamp_str", "shares_traded", "turnover", "short_sell_shares_traded", "short_sell_turnover", "open_price", "close_price", "last_close_price", "daily_trade_avg_ratio")
        TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
        TIMESTAMP_STR_FIELD_NUMBER: _ClassVar[int]
        SHARES_TRADED_FIELD_NUMBER: _ClassVar[int]
        TURNOVER_FIELD_NUMBER: _ClassVar[int]
        SHORT_SELL_SHARES_TRADED_FIELD_NUMBER: _ClassVar[int]
        SHORT_SELL_TURNOVER_FIELD_NUMBER: _ClassVar[int]
        OPEN_PRICE_FIELD_NUMBER: _ClassVar[int]
        CLOSE_PRICE_FIELD_NUMBER: _ClassVar[int]
        LAST_CLOSE_PRICE_FIELD_NUMBER: _ClassVar[int]
        DAILY_TRADE_AVG_RATIO_FIELD_NUMBER: _ClassVar[int]
        timestamp: int
        timestamp_str: str
        shares_traded: int
        turnover: float
        short_sell_shares_traded: int
        short_sell_turnover: float
        open_price: float
        close_price: float
        last_close_price: float
        daily_trade_avg_ratio: float
        def __init__(self, timestamp: _Optional[int] = ..., timestamp_str: _Optional[str] = ..., shares_traded: _Optional[int] = ..., turnover: _Optional[float] = ..., short_sell_shares_traded: _Optional[int] = ..., short_sell_turnover: _Optional[float] = ..., open_price: _Optional[float] = ..., close_price: _Optional[float] = ..., last_close_price: _Optional[float] = ..., daily_trade_avg_ratio: _Optional[float] = ...) -> None: ...
    class S2C(_message.Message):
        __slots__ = ("us_items", "hk_items", "next_key", "aggregated_short", "aggregated_short_ratio", "new_time_str")
        US_ITEMS_FIELD_NUMBER: _ClassVar[int]
        HK_ITEMS_FIELD_NUMBER: _ClassVar[int]
        NEXT_KEY_FIELD_NUMBER: _ClassVar[int]
        AGGREGATED_SHORT_FIELD_NUMBER: _ClassVar[int]
        AGGREGATED_SHORT_RATIO_FIELD_NUMBER: _ClassVar[int]
        NEW_TIME_STR_FIELD_NUMBER: _ClassVar[int]
        us_items: _containers.RepeatedCompositeFieldContainer[DailyShortVolume.UsItem]
        hk_items: _containers.RepeatedCompositeFieldContainer[DailyShortVolume.HkItem]
        next_key: str
        aggregated_short: int
        aggregated_short_ratio: float
        new_time_str: str
        def __init__(self, us_items: _Optional[_Iterable[_Union[DailyShortVolume.UsItem, _Mapping]]] = ..., hk_items: _Optional[_Iterable[_Union[DailyShortVolume.HkItem, _Mapping]]] = ..., next_key: _Optional[str] = ..., aggregated_short: _Optional[int] = ..., aggregated_short_ratio: _Optional[float] = ..., new_time_str: _Optional[str] = ...) -> None: ...
    class Request(_message.Message):
        __slots__ = ("c2s",)
        C2S_FIELD_NUMBER: _ClassVar[int]
        c2s: DailyShortVolume.C2S
        def __init__(self, c2s: _Optional[_Union[DailyShortVolume.C2S, _Mapping]] = ...) -> None: ...
    class Response(_message.Message):
        __slots__ = ("ret_type", "ret_msg", "err_code", "s2c")
        RET_TYPE_FIELD_NUMBER: _ClassVar[int]
        RET_MSG_FIELD_NUMBER: _ClassVar[int]
        ERR_CODE_FIELD_NUMBER: _ClassVar[int]
        S2C_FIELD_NUMBER: _ClassVar[int]
        ret_type: int
        ret_msg: str
        err_code: int
        s2c: DailyShortVolume.S2C
        def __init__(self, ret_type: _Optional[int] = ..., ret_msg: _Optional[str] = ..., err_code: _Optional[int] = ..., s2c: _Optional[_Union[DailyShortVolume.S2C, _Mapping]] = ...) -> None: ...
    def __init__(self) -> None: ...

class ShortInterest(_message.Message):
    __slots__ = ()
    class C2S(_message.Message):
        __slots__ = ("security", "next_key", "num")
        SECURITY_FIELD_NUMBER: _ClassVar[int]
        NEXT_KEY_FIELD_NUMBER: _ClassVar[int]
        NUM_FIELD_NUMBER: _ClassVar[int]
        security: Security
        next_key: str
        num: int
        def __init__(self, security: _Optional[_Union[Security, _Mapping]] = ..., next_key: _Optional[str] = ..., num: _Optional[int] = ...) -> None: ...
    class UsItem(_message.Message):
        __slots__ = ("timestamp", "timestamp_str", "shares_short", "short_percent", "avg_daily_share_volume", "days_to_cover", "close_price", "last_close_price")
        TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
        TIMESTAMP_STR_FIELD_NUMBER: _ClassVar[int]
        SHARES_SHORT_FIELD_NUMBER: _ClassVar[int]
        SHORT_PERCENT_FIELD_NUMBER: _ClassVar[int]
        AVG_DAILY_SHARE_VOLUME_FIELD_NUMBER: _ClassVar[int]
        DAYS_TO_COVER_FIELD_NUMBER: _ClassVar[int]
        CLOSE_PRICE_FIELD_NUMBER: _ClassVar[int]
        LAST_CLOSE_PRICE_FIELD_NUMBER: _ClassVar[int]
        timestamp: int
        timestamp_str: str
        shares_short: int
        short_percent: float
        avg_daily_share_volume: int
        days_to_cover: float
        close_price: float
        last_close_price: float
        def __init__(self, timestamp: _Optional[int] = ..., timestamp_str: _Optional[str] = ..., shares_short: _Optional[int] = ..., short_percent: _Optional[float] = ..., avg_daily_share_volume: _Optional[int] = ..., days_to_cover: _Optional[float] = ..., close_price: _Optional[float] = ..., last_close_price: _Optional[float] = ...) -> None: ...
    class HkItem(_message.Message):
        __slots__ = ("timestamp", "timestamp_str", "close_price", "last_close_price", "aggregated_short", "aggregated_short_ratio")
        TIMESTAMP_FIELD_NUMBER: _ClassVar[int]
        TIMESTAMP_STR_FIELD_NUMBER: _ClassVar[int]
        CLOSE_PRICE_FIELD_NUMBER: _ClassVar[int]
        LAST_CLOSE_PRICE_FIELD_NUMBER: _ClassVar[int]
        AGGREGATED_SHORT_FIELD_NUMBER: _ClassVar[int]
        AGGREGATED_SHORT_RATIO_FIELD_NUMBER: _ClassVar[int]
        timestamp: int
        timestamp_str: str
        close_price: float
        last_close_price: float
        aggregated_short: int
        aggregated_short_ratio: float
        def __init__(self, timestamp: _Optional[int] = ..., timestamp_str: _Optional[str] = ..., close_price: _Optional[float] = ..., last_close_price: _Optional[float] = ..., aggregated_short: _Optional[int] = ..., aggregated_short_ratio: _Optional[float] = ...) -> None: ...
    class S2C(_message.Message):
        __slots__ = ("us_items", "hk_items", "next_key")
        US_ITEMS_FIELD_NUMBER: _ClassVar[int]
        HK_ITEMS_FIELD_NUMBER: _ClassVar[int]
        NEXT_KEY_FIELD_NUMBER: _ClassVar[int]
        us_items: _containers.RepeatedCompositeFieldContainer[ShortInterest.UsItem]
        hk_items: _containers.RepeatedCompositeFieldContainer[ShortInterest.HkItem]
        next_key: str
        def __init__(self, us_items: _Optional[_Iterable[_Union[ShortInterest.UsItem, _Mapping]]] = ..., hk_items: _Optional[_Iterable[_Union[ShortInterest.HkItem, _Mapping]]] = ..., next_key: _Optional[str] = ...) -> None: ...
    class Request(_message.Message):
        __slots__ = ("c2s",)
        C2S_FIELD_NUMBER: _ClassVar[int]
        c2s: ShortInterest.C2S
        def __init__(self, c2s: _Optional[_Union[ShortInterest.C2S, _Mapping]] = ...) -> None: ...
    class Response(_message.Message):
        __slots__ = ("ret_type", "ret_msg", "err_code", "s2c")
        RET_TYPE_FIELD_NUMBER: _ClassVar[int]
        RET_MSG_FIELD_NUMBER: _ClassVar[int]
        ERR_CODE_FIELD_NUMBER: _ClassVar[int]
        S2C_FIELD_NUMBER: _ClassVar[int]
        ret_type: int
        ret_msg: str
        err_code: int
        s2c: ShortInterest.S2C
        def __init__(self, ret_type: _Optional[int] = ..., ret_msg: _Optional[str] = ..., err_code: _Optional[int] = ..., s2c: _Optional[_Union[ShortInterest.S2C, _Mapping]] = ...) -> None: ...
    def __init__(self) -> None: ...

class ShortSellingRank(_message.Message):
    __slots__ = ()
    class C2S(_message.Message):
        __slots__ = ("market", "sort_field", "sort_dir", "offset", "count", "plate_list")
        MARKET_FIELD_NUMBER: _ClassVar[int]
        SORT_FIELD_FIELD_NUMBER: _ClassVar[int]
        SORT_DIR_FIELD_NUMBER: _ClassVar[int]
        OFFSET_FIELD_NUMBER: _ClassVar[int]
        COUNT_FIELD_NUMBER: _ClassVar[int]
        PLATE_LIST_FIELD_NUMBER: _ClassVar[int]
        market: int
        sort_field: int
        sort_dir: int
        offset: int
        count: int
        plate_list: _containers.RepeatedCompositeFieldContainer[Security]
        def __init__(self, market: _Optional[int] = ..., sort_field: _Optional[int] = ..., sort_dir: _Optional[int] = ..., offset: _Optional[int] = ..., count: _Optional[int] = ..., plate_list: _Optional[_Iterable[_Union[Security, _Mapping]]] = ...) -> None: ...
    class Item(_message.Message):
        __slots__ = ("security", "name", "close_price", "change_ratio", "change_ratio_5d", "change_ratio_10d", "volume", "short_number", "short_number_change", "short_ratio", "short_ratio_change", "short_position_volume", "short_position_ratio", "days_to_cover", "week_avg_short_number", "week_avg_short_ratio", "month_avg_short_number", "month_avg_short_ratio")
        SECURITY_FIELD_NUMBER: _ClassVar[int]
        NAME_FIELD_NUMBER: _ClassVar[int]
        CLOSE_PRICE_FIELD_NUMBER: _ClassVar[int]
        CHANGE_RATIO_FIELD_NUMBER: _ClassVar[int]
        CHANGE_RATIO_5D_FIELD_NUMBER: _ClassVar[int]
        CHANGE_RATIO_10D_FIELD_NUMBER: _ClassVar[int]
        VOLUME_FIELD_NUMBER: _ClassVar[int]
        SHORT_NUMBER_FIELD_NUMBER: _ClassVar[int]
        SHORT_NUMBER_CHANGE_FIELD_NUMBER: _ClassVar[int]
        SHORT_RATIO_FIELD_NUMBER: _ClassVar[int]
        SHORT_RATIO_CHANGE_FIELD_NUMBER: _ClassVar[int]
        SHORT_POSITION_VOLUME_FIELD_NUMBER: _ClassVar[int]
        SHORT_POSITION_RATIO_FIELD_NUMBER: _ClassVar[int]
        DAYS_TO_COVER_FIELD_NUMBER: _ClassVar[int]
        WEEK_AVG_SHORT_NUMBER_FIELD_NUMBER: _ClassVar[int]
        WEEK_AVG_SHORT_RATIO_FIELD_NUMBER: _ClassVar[int]
        MONTH_AVG_SHORT_NUMBER_FIELD_NUMBER: _ClassVar[int]
        MONTH_AVG_SHORT_RATIO_FIELD_NUMBER: _ClassVar[int]
        security: Security
        name: str
        close_price: float
        change_ratio: float
        change_ratio_5d: float
        change_ratio_10d: float
        volume: int
        short_number: int
        short_number_change: int
        short_ratio: float
        short_ratio_change: float
        short_position_volume: int
        short_position_ratio: float
        days_to_cover: float
        week_avg_short_number: int
        week_avg_short_ratio: float
        month_avg_short_number: int
        month_avg_short_ratio: float
        def __init__(self, security: _Optional[_Union[Security, _Mapping]] = ..., name: _Optional[str] = ..., close_price: _Optional[float] = ..., change_ratio: _Optional[float] = ..., change_ratio_5d: _Optional[float] = ..., change_ratio_10d: _Optional[float] = ..., volume: _Optional[int] = ..., short_number: _Optional[int] = ..., short_number_change: _Optional[int] = ..., short_ratio: _Optional[float] = ..., short_ratio_change: _Optional[float] = ..., short_position_volume: _Optional[int] = ..., short_position_ratio: _Optional[float] = ..., days_to_cover: _Optional[float] = ..., week_avg_short_number: _Optional[int] = ..., week_avg_short_ratio: _Optional[float] = ..., month_avg_short_number: _Optional[int] = ..., month_avg_short_ratio: _Optional[float] = ...) -> None: ...
    class S2C(_message.Message):
        __slots__ = ("items", "all_count")
        ITEMS_FIELD_NUMBER: _ClassVar[int]
        ALL_COUNT_FIELD_NUMBER: _ClassVar[int]
        items: _containers.RepeatedCompositeFieldContainer[ShortSellingRank.Item]
        all_count: int
        def __init__(self, items: _Optional[_Iterable[_Union[ShortSellingRank.Item, _Mapping]]] = ..., all_count: _Optional[int] = ...) -> None: ...
    class Request(_message.Message):
        __slots__ = ("c2s",)
        C2S_FIELD_NUMBER: _ClassVar[int]
        c2s: ShortSellingRank.C2S
        def __init__(self, c2s: _Optional[_Union[ShortSellingRank.C2S, _Mapping]] = ...) -> None: ...
    class Response(_message.Message):
        __slots__ = ("ret_type", "ret_msg", "err_code", "s2c")
        RET_TYPE_FIELD_NUMBER: _ClassVar[int]
        RET_MSG_FIELD_NUMBER: _ClassVar[int]
        ERR_CODE_FIELD_NUMBER: _ClassVar[int]
        S2C_FIELD_NUMBER: _ClassVar[int]
        ret_type: int
        ret_msg: str
        err_code: int
        s2c: ShortSellingRank.S2C
        def __init__(self, ret_type: _Optional[int] = ..., ret_msg: _Optional[str] = ..., err_code: _Optional[int] = ..., s2c: _Optional[_Union[ShortSellingRank.S2C, _Mapping]] = ...) -> None: ...
    def __init__(self) -> None: ...
