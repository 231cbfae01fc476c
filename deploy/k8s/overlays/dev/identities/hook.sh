#!/bin/sh
# Creates the secrets of the identities, callers and integrations in the cluster, unless it has them all. skaffold runs this before each deployment:
# the first one creates the development keys, which stay until the namespace is deleted. make.sh makes the keys.
set -eu
cd "$(dirname "$0")"

cluster() {
	kubectl ${SKAFFOLD_KUBE_CONTEXT:+--context="$SKAFFOLD_KUBE_CONTEXT"} --namespace=hubbub "$@"
}

phase=$(cluster get namespace hubbub --ignore-not-found --output=jsonpath='{.status.phase}')
if [ "$phase" = Terminating ]; then # the previous `skaffold dev` has just ended, and its secrets are being deleted
	cluster wait namespace hubbub --for=delete --timeout=120s
	phase=
fi
if [ -z "$phase" ]; then
	cluster create namespace hubbub --save-config
fi

there=$(cluster get secrets gateway-identity messages-identity integrations-identity integrations-keys callers \
	--ignore-not-found --output=name)
if [ "$(echo "$there" | wc -w)" -eq 5 ]; then
	exit 0
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' HUP INT TERM
sh make.sh "$folder"
cluster delete secrets gateway-identity messages-identity integrations-identity integrations-keys callers --ignore-not-found # one is useless without the other
cluster create secret generic callers --from-file="$folder/callers.json"
cluster create secret generic gateway-identity --from-file="$folder/gateway.pem"
cluster create secret generic messages-identity --from-file="$folder/messages.pem"
cluster create secret generic integrations-keys --from-file="$folder/keys"
cluster create secret generic integrations-identity --from-file="$folder/integrations.pem"
