"""Results of real studies beside a reference table: joined, counted, compared, reported.

Nothing of the synthetic evaluation (`lvo.evaluate.run`) depends on this; its intervals, tables and page are used here too.
"""
