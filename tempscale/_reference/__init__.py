"""Higher precision, in which the references of contracts compute."""
