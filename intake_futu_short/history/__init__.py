"""A ticker's history in a store: brought up to date by the fewest requests.

::

    ticker_history.py  rows and the refresh state that belongs to them
    join.py            two sets of rows: compared, united, and two writers' histories merged
    revisions.py       what the gateway replaced or withdrew, and the records of two writers
    reports.py         reports of open positions, each with the moment it was first seen
    plausible.py       rows of days to come, and of another security with the same code
    refresh.py         the rules: which page to ask for next, what to keep of it   (pure)
    as_of.py           a history as it was known at a moment
    update.py          one ticker: load, lock, refresh, save
"""
