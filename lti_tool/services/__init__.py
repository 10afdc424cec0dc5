"""The use cases, as plain functions that own their transactions."""
