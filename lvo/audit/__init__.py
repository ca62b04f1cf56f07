"""Looking back: from the event log to service figures, control charts, drift of the program, and feedback to hospitals."""
