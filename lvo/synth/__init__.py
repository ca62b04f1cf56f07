"""Digital heads and perfusion phantoms with exact truth: the source of samples, training data and stress tests."""
