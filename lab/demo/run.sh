#!/bin/sh
# npm run demo:inline: installs what the demo needs on Debian, then runs it. Nothing but packages stays behind.
set -eu
cd "$(dirname "$0")/../.."

fail() {
  printf 'demo: %s\n' "$*" >&2
  exit 1
}

[ "$(uname -s)" = Linux ] || fail "expected Linux, this is $(uname -s)"
[ "$(id -u)" -eq 0 ] || fail 'expected root, to make network namespaces: sudo npm run demo:inline'
node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 20 ? 0 : 1)' ||
  fail "expected Node.js 20 or newer, this is $(node --version)"

packages=
need() {
  command -v "$1" >/dev/null || packages="$packages $2"
}
need sipp sip-tester
need ip iproute2
need nft nftables
need iptables-legacy iptables
need conntrack conntrack
need tcpdump tcpdump
need sysctl procps
if [ -n "$packages" ]; then
  command -v apt-get >/dev/null || fail "please install what Debian has as:$packages"
  echo "demo: installing$packages"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  # shellcheck disable=SC2086
  apt-get install -y -qq --no-install-recommends $packages >/dev/null
fi
if [ ! -d node_modules/tsx ]; then
  echo 'demo: npm ci'
  npm ci --no-audit --no-fund --loglevel=error
fi
exec node --import tsx lab/demo/main.ts
