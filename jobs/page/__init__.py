"""The report's page: its template, numbers and figures."""
