#!/bin/sh
# Give the cluster the secrets gateway-identity and callers, unless it has both: skaffold runs this before each deployment, and
# so development's key is made at the first and kept until the namespace goes. Leaves making them to make.sh.
set -eu
cd "$(dirname "$0")"

cluster() {
	kubectl ${SKAFFOLD_KUBE_CONTEXT:+--context="$SKAFFOLD_KUBE_CONTEXT"} --namespace=hubbub "$@"
}

phase=$(cluster get namespace hubbub --ignore-not-found --output=jsonpath='{.status.phase}')
if [ "$phase" = Terminating ]; then # the last `skaffold dev` was ended a moment ago, and its secrets go too
	cluster wait namespace hubbub --for=delete --timeout=120s
	phase=
fi
if [ -z "$phase" ]; then
	cluster create namespace hubbub --save-config
fi

there=$(cluster get secrets gateway-identity callers --ignore-not-found --output=name)
if [ "$(echo "$there" | wc -w)" -eq 2 ]; then
	exit 0
fi

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' HUP INT TERM
sh make.sh "$folder"
cluster delete secrets gateway-identity callers --ignore-not-found # one without the other is worth nothing
cluster create secret generic callers --from-file="$folder/callers.json"
cluster create secret generic gateway-identity --from-file="$folder/gateway.pem"
