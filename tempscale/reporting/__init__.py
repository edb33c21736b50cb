"""A report of what was run, and its faces: terminal, JSON, JUnit, page."""
