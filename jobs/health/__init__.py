"""What doctor looks at with Spark running: a check is a function from the lake to a finding."""
