"""The Socket.IO door: stock Socket.IO clients on the gateway's own sessions."""
