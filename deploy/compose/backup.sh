#!/bin/sh
# backup.sh FOLDER: copies both databases, the objects and the secrets into FOLDER, which may hold an earlier backup. Needs rsync.
# Run it as root, and copy FOLDER to another machine: it is all that restore.sh needs.
set -eu
umask 077
target=${1:?usage: backup.sh /backups/monday}
cd "$(dirname "$0")"
mkdir -p "$target"
data=$(. ./.env && echo "${HUBBUB_DATA:-./data}")

# Messages before media: an upload that messages do not know is harmless, a message without its upload is not.
for database in messages media integrations; do
	docker compose exec -T postgres pg_dump --username=postgres --format=custom "$database" >"$target/$database.dump.new"
	mv "$target/$database.dump.new" "$target/$database.dump"
done

# Most of the objects while uploads go on, the rest while they wait.
rsync --archive --delete "$data/objects/" "$target/objects/"
docker compose pause objects
trap 'docker compose unpause objects' EXIT
rsync --archive --delete "$data/objects/" "$target/objects/"

cp -a .env hubbub.env secrets "$target/"
date -u +%FT%TZ >"$target/finished"
