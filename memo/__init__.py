"""Memoization that may make a program faster, and never wrong, slow or dead."""
