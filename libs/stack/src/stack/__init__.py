"""The local stack: real servers from wheels, and the supervisor that runs the whole product on one machine."""
