#!/bin/sh
# setup.sh HOST: makes what compose.yaml mounts and reads: passwords, keys, certificates for the stores, and folders for their data.
# Run it as root in this folder. It keeps everything that exists, so it can be repeated. Needs only OpenSSL 3.
set -eu
umask 077
cd "$(dirname "$0")"
host=${1:?usage: setup.sh chat.example.com}
k8s=../k8s/overlays/dev
secrets=${HUBBUB_SECRETS:-secrets}
data=${HUBBUB_DATA:-./data}

once() { # once FILE: writes standard input to FILE, unless FILE exists
	if [ -e "$1" ]; then
		cat >/dev/null
		return
	fi
	mkdir -p "$(dirname "$1")"
	cat >"$1.new"
	mv "$1.new" "$1"
}

password() { # password NAME: prints the password of that name, made at the first call
	openssl rand -hex 24 | once "$secrets/passwords/$1"
	tr -d '\n' <"$secrets/passwords/$1"
}

line() { # line FILE: its text as one line for a quoted value
	awk '{ printf "%s\\n", $0 }' "$1"
}

# Identities of the processes
mkdir -p "$secrets/identities"
[ -e "$secrets/identities/callers.json" ] || sh "$k8s/identities/make.sh" "$secrets/identities"
openssl genpkey -algorithm ed25519 | once "$secrets/identities/audit.pem"

# An authority of this host, and certificates for the two stores that clients reach by TLS
tls="$secrets/tls"
mkdir -p "$tls"
if ! [ -e "$tls/ca.crt" ]; then
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -days 3650 -subj "/CN=Hubbub on $host" \
		-keyout "$tls/ca.key" -out "$tls/ca.crt" 2>/dev/null
fi
for store in postgres valkey; do
	[ -e "$tls/$store.crt" ] && continue
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -subj "/CN=$store" -addext "subjectAltName=DNS:$store" \
		-keyout "$tls/$store.key" -out "$tls/$store.csr" 2>/dev/null
	openssl x509 -req -in "$tls/$store.csr" -CA "$tls/ca.crt" -CAkey "$tls/ca.key" -CAcreateserial -days 3650 -copy_extensions copy \
		-out "$tls/$store.crt" 2>/dev/null
	rm "$tls/$store.csr"
done

# The stores' users: the rules of the development stores, with passwords of their own
password postgres | once "$secrets/postgres/password"
roles='' acl=''
for role in messages messages_service messages_sweeper media media_service media_sweeper \
	integrations integrations_service integrations_sweeper; do
	roles="$roles;/^CREATE ROLE $role LOGIN/s/'development'/'$(password "$role")'/"
done
sed "$roles" "$k8s/stores/init.sql" | once "$secrets/postgres/init.sql"
for user in default gateway messages-api messages-worker messages-search messages-feed presence; do
	digest=$(password "valkey-$user" | openssl dgst -sha256 -r | cut -d ' ' -f 1)
	acl="$acl;/^user $user on /s/>development/#$digest/"
done
sed "$acl" "$k8s/stores/users.acl" | once "$secrets/valkey/users.acl"
sed "s/\"accessKey\": \"development\", \"secretKey\": \"development\"/\"accessKey\": \"media\", \"secretKey\": \"$(password objects)\"/" \
	"$k8s/stores/identities.json" | once "$secrets/objects/identities.json"

# What each process reads from its environment
database() { # database ROLE NAME
	printf 'postgresql://%s:%s@postgres:5432/%s?sslmode=verify-full&sslrootcert=/etc/hubbub/ca.crt' "$1" "$(password "$1")" "$2"
}
bus() { # bus USER [DATABASE]
	printf 'rediss://%s:%s@valkey:6379/%s' "$1" "$(password "valkey-$1")" "${2:-0}"
}
callers="HUBBUB_CALLERS='$(tr -d '\n' <"$secrets/identities/callers.json")'"
once "$secrets/gateway.env" <<END
HUBBUB_BUS_URL=$(bus gateway)
HUBBUB_GATEWAY_KEY="$(line "$secrets/identities/gateway.pem")"
HUBBUB_SESSION_KEYS=$(openssl rand -hex 32)
END
messages="HUBBUB_MESSAGES_DATABASE_URL=$(database messages_service messages)
HUBBUB_MESSAGES_SWEEPER_DATABASE_URL=$(database messages_sweeper messages)"
once "$secrets/messages-api.env" <<END
$callers
$messages
HUBBUB_BUS_URL=$(bus messages-api)
HUBBUB_MESSAGES_KEY="$(line "$secrets/identities/messages.pem")"
HUBBUB_MESSAGES_AUDIT_KEY="$(line "$secrets/identities/audit.pem")"
END
for process in worker search; do
	once "$secrets/messages-$process.env" <<END
$messages
HUBBUB_BUS_URL=$(bus "messages-$process")
END
done
once "$secrets/messages-feed.env" <<END
$callers
$messages
HUBBUB_BUS_URL=$(bus messages-feed)
END
once "$secrets/presence.env" <<END
$callers
HUBBUB_PRESENCE_REDIS_URL=$(bus presence 1)
END
once "$secrets/media.env" <<END
$callers
HUBBUB_MEDIA_DATABASE_URL=$(database media_service media)
HUBBUB_MEDIA_SWEEPER_DATABASE_URL=$(database media_sweeper media)
HUBBUB_MEDIA_S3_ACCESS_KEY=media
HUBBUB_MEDIA_S3_SECRET_KEY=$(password objects)
END
once "$secrets/integrations.env" <<END
$callers
HUBBUB_INTEGRATIONS_DATABASE_URL=$(database integrations_service integrations)
HUBBUB_INTEGRATIONS_SWEEPER_DATABASE_URL=$(database integrations_sweeper integrations)
HUBBUB_INTEGRATIONS_KEY="$(line "$secrets/identities/integrations.pem")"
HUBBUB_INTEGRATIONS_KEYS=$(tr -d '\n' <"$secrets/identities/keys")
END
for service in messages media integrations; do
	variable=HUBBUB_$(echo "$service" | tr a-z A-Z)_MIGRATION_DATABASE_URL
	once "$secrets/$service-migrate.env" <<END
$variable=$(database "$service" "$service")
END
done

# Settings of your own, and of compose.yaml
once hubbub.env <hubbub.env.example
once .env <<END
HUBBUB_HOST=$host
HUBBUB_VERSION=0.1.0
HUBBUB_REGISTRY=hubbub
END

# Folders, and files that the stores' users read
mkdir -p "$data/postgres" "$data/valkey" "$data/objects" "$data/caddy"
chmod 755 "$secrets" "$tls"
chmod 644 "$tls/ca.crt" "$tls/postgres.crt" "$tls/valkey.crt"
if [ "$(id -u)" = 0 ]; then
	chmod 711 "$data"
	chown 999:999 "$data/postgres" "$data/valkey"
	chown 1000:1000 "$data/objects"
	chown -R 999:999 "$secrets/postgres" "$secrets/valkey" "$tls/postgres.key" "$tls/valkey.key"
	chown -R 1000:1000 "$secrets/objects"
else
	echo "Not root: give the folders in $data and the files in $secrets to the stores' users yourself." >&2
fi
echo "Ready. Set how people sign in in hubbub.env, then: docker compose up --detach --wait"
