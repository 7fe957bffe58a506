"""The `hugraph` command."""
