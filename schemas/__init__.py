"""Contracts of the tables and of the settings. Imports no other package of the project and no Spark."""
