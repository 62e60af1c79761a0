"""Adapters from the Provider port to those who carry pushes."""
