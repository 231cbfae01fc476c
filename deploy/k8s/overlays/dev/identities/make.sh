#!/bin/sh
# make.sh FOLDER: writes keys for the development gateways (gateway.pem), messages-api (messages.pem) and integrations
# (integrations.pem), a list of callers with only them (callers.json), and the key that encrypts the secrets of webhooks (keys),
# readable by their owner only. Needs only openssl. hook.sh puts them into the cluster.
set -euC # never overwrite files
umask 077
cd "$1"

base64url() {
	openssl base64 -A | tr '+/' '-_' | tr -d '='
}

jwk() { # jwk KEY.pem: makes the key, and prints its public JWK
	openssl genpkey -algorithm ed25519 >"$1"
	x=$(openssl pkey -in "$1" -pubout -outform DER | tail -c 32 | base64url)
	kid=$(printf '{"crv":"Ed25519","kty":"OKP","x":"%s"}' "$x" | openssl dgst -sha256 -binary | base64url) # RFC 7638
	printf '{"kty": "OKP", "crv": "Ed25519", "x": "%s", "kid": "%s"}' "$x" "$kid"
}

gateway=$(jwk gateway.pem)
messages=$(jwk messages.pem)
integrations=$(jwk integrations.pem)
openssl rand 32 | openssl base64 -A | tr '+/' '-_' >keys

cat >callers.json <<END
[
  {
    "name": "gateway",
    "keys": [$gateway],
    "scopes": ["users:read", "users:write", "channels:read", "channels:write", "messages:read", "messages:write", "moderation", "admin",
               "media:read", "media:write", "presence:read", "integrations:read", "integrations:write", "gateway"],
    "tenants": ["*"],
    "calls_per_second": 0
  },
  {
    "name": "messages",
    "keys": [$messages],
    "scopes": ["media:read"],
    "tenants": ["*"],
    "calls_per_second": 0
  },
  {
    "name": "integrations",
    "keys": [$integrations],
    "scopes": ["feed", "channels:read", "messages:read", "messages:write"],
    "tenants": ["*"],
    "calls_per_second": 0
  }
]
END
