"""Many studies: a table on disk that knows what is done, engines that only execute, one results table at the end.

`lvo.batch.runner.run_batch` is the way in; `lvo batch` calls it.
"""
