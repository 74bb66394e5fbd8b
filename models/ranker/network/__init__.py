"""The ranker's network: tables, attention over the histories, heads of the tasks."""
