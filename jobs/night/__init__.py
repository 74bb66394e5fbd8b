"""Parts of jobs that judge and publish a whole night."""
