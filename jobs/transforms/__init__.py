"""Functions on DataFrames that are shared by several jobs."""
