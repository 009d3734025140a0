"""A ticker's history over a store: brought up to date by the fewest requests.

::

    joining.py    two sets of rows: compared, merged
    freshness.py  whether there can be anything new
    slices.py     which rows a partition is
    refresh.py    the rules: which page to ask for next, what to keep of it   (pure, given a walk)
    keeper.py     one ticker: lock, load, refresh, save
    stored.py     its partitions, for a source
"""
