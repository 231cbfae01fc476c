"""The pytest fixtures that give a test a real server."""
