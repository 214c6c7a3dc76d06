"""Trials of a challenger against the champion: what may be said at any time, and when to stop.

Everything here may be looked at after every record. An e-process starts at 1 and, while
its null hypothesis holds, is expected never to rise: the chance that it ever reaches
1/a is at most a (J. Ville, 1939). So 1/e is a p-value at any time, and the values that are
not rejected make an interval that covers at all times at once, with a chance of 1 - a.

The code is our own, some 200 lines of arithmetic. `confseq` has no wheels and rests since 2023,
`savvi` brings a convex solver, `spotify-confidence` wants pandas below 3 and has group
sequential bounds only, `sequential-analysis` is AGPL; none has a test on late outcomes by amount.
"""
