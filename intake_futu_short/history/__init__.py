"""A ticker's history in a store: brought up to date by the fewest requests.

::

    ticker_history.py  rows and the refresh state that belongs to them
    join.py            two sets of rows: compared, put together
    refresh.py         the rules: which page to ask for next, what to keep of it   (pure)
    update.py          one ticker: load, lock, refresh, save
"""
