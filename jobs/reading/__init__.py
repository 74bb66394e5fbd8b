"""What the SQL shell, the Thrift server and notebooks share: a session in which a published night can be read."""
