#!/bin/sh
# upgrade.sh VERSION: upgrades Hubbub, one process after the other, so that clients reconnect and are never refused.
# Take a backup first. To go back, run it with the previous version: the schema stays, which the previous release allows.
set -eu
cd "$(dirname "$0")"
version=${1:?usage: upgrade.sh 0.2.0}
sed "s/^HUBBUB_VERSION=.*/HUBBUB_VERSION=$version/" .env >.env.new
mv .env.new .env
docker compose pull --policy missing
for service in messages-migrate media-migrate integrations-migrate; do
	docker compose run --rm --no-deps "$service"
done
for service in messages-worker messages-search messages-feed messages-api presence media integrations gateway-1 gateway-2; do
	docker compose up --detach --wait --no-deps "$service"
done
docker compose up --detach --wait
