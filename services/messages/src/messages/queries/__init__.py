"""The SQL of reads and of RPCs, one module for each kind of resource. The SQL of commands is in `messages.commands`."""
