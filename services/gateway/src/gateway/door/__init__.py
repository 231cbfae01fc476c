"""How requests and connections come in through the one port, and how the gateway drains."""
