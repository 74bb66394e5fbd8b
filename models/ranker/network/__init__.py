"""The ranker's network: embedding tables, attention over the histories, and a head with one output per task."""
