"""The conformance kit: scripted server behaviours that a client in any language must survive. See docs/clients.md.

`scenario` reads the scripts, `server` is the scripted server, `lines` speaks with the client under test,
`player` plays a script and judges, `reports` keeps what the client tells, `check` has the rules for every frame.
"""
