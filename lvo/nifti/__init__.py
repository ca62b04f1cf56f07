"""NIfTI files in and out: volumes, time series, and the times of a time series, which the format itself cannot hold."""
