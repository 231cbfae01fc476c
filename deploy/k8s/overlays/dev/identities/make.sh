#!/bin/sh
# make.sh FOLDER: make a key for development's gateways, and the list of callers in which they stand alone: gateway.pem and
# callers.json, for nobody else to read. Needs openssl only. Leaves bringing them into the cluster to hook.sh.
set -euC # never over files that are there
umask 077
cd "$1"

base64url() {
	openssl base64 -A | tr '+/' '-_' | tr -d '='
}

openssl genpkey -algorithm ed25519 >gateway.pem
x=$(openssl pkey -in gateway.pem -pubout -outform DER | tail -c 32 | base64url)
kid=$(printf '{"crv":"Ed25519","kty":"OKP","x":"%s"}' "$x" | openssl dgst -sha256 -binary | base64url) # RFC 7638

cat >callers.json <<END
[
  {
    "name": "gateway",
    "keys": [{"kty": "OKP", "crv": "Ed25519", "x": "$x", "kid": "$kid"}],
    "scopes": ["users:read", "users:write", "channels:read", "channels:write", "messages:read", "messages:write", "moderation", "admin",
               "media:read", "media:write", "presence:read", "gateway"],
    "tenants": ["*"],
    "calls_per_second": 0
  }
]
END
