"""Where the service keeps its truth: one adapter a database, one conformance suite for all."""
