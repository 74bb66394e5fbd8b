"""What the jobs that train share."""
