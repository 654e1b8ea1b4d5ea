"""Pictures and pages for people, from plain data."""
