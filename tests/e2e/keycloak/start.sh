#!/usr/bin/env bash
# start.sh DISTRIBUTION PORT: Keycloak on loopback with the realm beside this script, in memory, until it is ended. The administrator
# is the tests' own: they hire people, let them go, make a second realm and rotate keys through its REST API.
# The first start of an unpacked distribution takes about a minute and a half, later ones half a minute.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
distribution=$1 port=$2
mkdir -p "$distribution/data/import"
cp "$here/mcp-realm.json" "$distribution/data/import/mcp-realm.json"
export KC_BOOTSTRAP_ADMIN_USERNAME=admin KC_BOOTSTRAP_ADMIN_PASSWORD=keycloak-administrator-of-the-end-to-end-tests
export JAVA_OPTS_KC_HEAP="-Xms64m -Xmx512m"
exec "$distribution/bin/kc.sh" start-dev --db=dev-mem --http-host=127.0.0.1 --http-port="$port" --import-realm --log-level=warn
