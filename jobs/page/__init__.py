"""The report's page: what it shows, and its figures."""
