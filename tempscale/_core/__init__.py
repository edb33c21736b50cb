"""The spine: registry, dispatch, the one mechanism for operations, and what they check."""
