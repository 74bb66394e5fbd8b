"""Parts of the job evaluate."""
