#!/bin/sh
# restore.sh FOLDER: starts Hubbub on this host from a backup of backup.sh. Refuses to overwrite data. Needs rsync, as root.
set -eu
umask 077
source=${1:?usage: restore.sh /backups/monday}
cd "$(dirname "$0")"
[ -e "$source/finished" ] || { echo "$source holds no complete backup" >&2; exit 1; }
[ ! -e secrets ] || { echo "secrets exists: restore into a fresh folder" >&2; exit 1; }
cp -a "$source/.env" "$source/hubbub.env" "$source/secrets" .
. ./.env
data=${HUBBUB_DATA:-./data}
[ -z "$(ls -A "$data/postgres" 2>/dev/null)" ] || { echo "$data/postgres is not empty" >&2; exit 1; }
sh setup.sh "$HUBBUB_HOST"
rsync --archive "$source/objects/" "$data/objects/"
docker compose up --detach --wait postgres
for database in messages media integrations; do
	docker compose exec -T postgres pg_restore --username=postgres --dbname="$database" --exit-on-error <"$source/$database.dump"
done
docker compose run --rm messages-migrate

# Clients may have seen messages that the backup does not have: a new epoch makes them load again.
docker compose run --rm messages-migrate epoch declare --reason "restored $(cat "$source/finished")"
docker compose up --detach --wait
