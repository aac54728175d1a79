"""The code of the systems, a file for each topic and library; imported in its environment only."""
