"""The vocabulary of docs/protocol.md: frames from clients, frames to clients, and close codes."""
