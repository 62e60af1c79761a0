"""Moving an embedded instance into a PostgreSQL database while it runs.

What is there is copied by ranges of keys, with COPY and without indexes. What changes meanwhile is noted by triggers in
the SQLite file itself: so it does not matter which process writes, nor whether the service or the move is killed and
started again, and the service needs no part in it. Rounds copy the rows that were noted, each as of one moment of the
source and in one transaction of the target, until few are left; the last round runs while nobody else has the data
directory. What was copied is compared, as checksums over the rows that both databases compute by themselves.
"""
