#!/bin/bash
# Makes the captures of this directory again: make.sh [NAME...] (all of them without a name).
#
# Needs root on Linux, and from Debian: sip-tester tcpdump iproute2 ethtool nftables, beside Node and `npm ci` in the checkout.
# Every packet stays in network namespaces that this script makes and removes:
#
#   client 192.0.2.10 -----------+                              +-- pbx         198.51.100.20  2001:db8:2::20
#          2001:db8:1::10        |                              |
#                              router --- inside (captured) ----+-- gateway     198.51.100.30  2001:db8:2::30
#                                |                              |
#   stranger 203.0.113.66 -------+                              +-- workstation 198.51.100.40  2001:db8:2::40
#          2001:db8:3::66
#
# tcpdump listens on the router's inside interface, so each packet is seen once.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
scenarios=$here/scenarios
tsx=$here/../node_modules/tsx/dist/esm/index.mjs
work=$(mktemp -d)
prefix=pcaps-$$
pids=()
hosts=(client stranger pbx gateway workstation)

network_down() {
  for ns in router "${hosts[@]}"; do ip netns del "$prefix-$ns" 2>/dev/null || true; done
}

finish() {
  local status=$?
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  network_down
  if [ "$status" -eq 0 ]; then rm -rf "$work"; else echo "logs are in $work" >&2; fi
}
trap finish EXIT
trap 'exit 130' INT TERM

within() { local ns=$1; shift; ip netns exec "$prefix-$ns" "$@"; }

# Checksums and segments as they are on a wire, not as a kernel leaves them to its network card.
plain() { within "$1" ethtool -K "$2" tx off rx off tso off gso off gro off >/dev/null 2>&1; }

# attach HOST MAC IPV4 IPV6 GATEWAY4 GATEWAY6: a link named after the host on the router, eth0 on the host.
attach() {
  ip -n "$prefix-router" link add "$1" type veth peer name eth0 netns "$prefix-$1"
  ip -n "$prefix-$1" link set eth0 address "$2" up
  ip -n "$prefix-router" link set "$1" up
  plain router "$1"
  plain "$1" eth0
  ip -n "$prefix-$1" addr add "$3/24" dev eth0
  ip -n "$prefix-$1" addr add "$4/64" dev eth0 nodad
  ip -n "$prefix-$1" route add default via "$5"
  ip -n "$prefix-$1" -6 route add default via "$6"
}

network_up() {
  for ns in router "${hosts[@]}"; do
    ip netns add "$prefix-$ns"
    ip -n "$prefix-$ns" link set lo up
    within "$ns" sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv4.tcp_timestamps=0 net.ipv4.conf.all.rp_filter=0
  done
  within router sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.all.send_redirects=0
  attach client 02:00:00:00:01:10 192.0.2.10 2001:db8:1::10 192.0.2.1 2001:db8:1::1
  attach stranger 02:00:00:00:03:66 203.0.113.66 2001:db8:3::66 203.0.113.1 2001:db8:3::1
  attach pbx 02:00:00:00:02:20 198.51.100.20 2001:db8:2::20 198.51.100.1 2001:db8:2::1
  attach gateway 02:00:00:00:02:30 198.51.100.30 2001:db8:2::30 198.51.100.1 2001:db8:2::1
  attach workstation 02:00:00:00:02:40 198.51.100.40 2001:db8:2::40 198.51.100.1 2001:db8:2::1
  local router=(ip -n "$prefix-router")
  "${router[@]}" addr add 192.0.2.1/24 dev client
  "${router[@]}" addr add 2001:db8:1::1/64 dev client nodad
  "${router[@]}" addr add 203.0.113.1/24 dev stranger
  "${router[@]}" addr add 2001:db8:3::1/64 dev stranger nodad
  "${router[@]}" link add inside address 02:00:00:00:02:01 type bridge mcast_snooping 0
  for ns in pbx gateway workstation; do "${router[@]}" link set "$ns" master inside; done
  "${router[@]}" link set inside up
  plain router inside
  "${router[@]}" addr add 198.51.100.1/24 dev inside
  "${router[@]}" addr add 2001:db8:2::1/64 dev inside nodad
}

# Runs a command in a host's namespace in the background; its process id is in $! and it ends with this script.
start() {
  local ns=$1 log=$2
  shift 2
  ip netns exec "$prefix-$ns" "$@" >"$work/$log.log" 2>&1 &
  pids+=($!)
}

# until_true COMMAND...: waits until the command succeeds, at most ten seconds.
until_true() {
  for _ in $(seq 200); do
    if "$@"; then return; fi
    sleep 0.05
  done
  echo "$name: gave up waiting for: $*" >&2
  exit 1
}

capture_start() {
  start router tcpdump tcpdump -Z root -p -n -U --immediate-mode -s 0 -i inside -w "$work/$name.pcap" \
    'tcp or udp or (ip[6:2] & 0x1fff != 0) or ip6 proto 44'
  tcpdump_pid=$!
  until_true grep -q 'listening on' "$work/tcpdump.log"
  host_pids=()
  for ns in "${hosts[@]}"; do
    rm -f "$work/$ns" "$work/$ns.ready"
    mkfifo "$work/$ns"
    start "$ns" "host-$ns" node --import "$tsx" "$here/host/host.ts" "$work/$ns"
    host_pids+=($!)
  done
  for ns in "${hosts[@]}"; do until_true test -e "$work/$ns.ready"; done
}

capture_stop() {
  sleep 0.3
  for pid in "${host_pids[@]}"; do
    if ! kill "$pid" 2>/dev/null; then
      echo "$name: a host ended early: $(cat "$work"/host-*.log)" >&2
      exit 1
    fi
    wait "$pid" 2>/dev/null || true
  done
  kill "$tcpdump_pid"
  wait "$tcpdump_pid" || true
  pids=()
  if ! grep -q '^0 packets dropped by kernel' "$work/tcpdump.log"; then
    echo "$name: packets were lost while capturing" >&2
    exit 1
  fi
  mv "$work/$name.pcap" "$here/$name.pcap"
  local frames
  frames=$(tcpdump -r "$here/$name.pcap" --count 2>/dev/null | cut -d' ' -f1)
  sed -i -E "s/^(\| \`$name\.pcap\` +\|) [0-9]+ +\|/\1 $(printf %-6s "$frames") |/" "$here/README.md"
  echo "$name: $frames frames"
}

# sipp_as HOST ADDRESS SCENARIO [OPTION...]: one sipp on port 5060, in the work directory, where the hosts' FIFOs are.
sipp_as() {
  local ns=$1 address=$2 scenario=$3
  shift 3
  cd "$work"
  start "$ns" "sipp-$ns" sipp -sf "$scenarios/$scenario.xml" -i "$address" -p 5060 -m 1 -nostdin \
    -cid_str "$name-%u@%s" -timeout 30s -timeout_error -trace_err -error_file "$work/sipp-$ns.errors" "$@"
}

finished() {
  if ! wait "$2"; then
    echo "$name: sipp on $1 failed" >&2
    tail -n 40 "$work/sipp-$1.errors" >&2 || true
    exit 1
  fi
}

listening() { within "$1" ss -Hlnut "sport = :$2" | grep -q .; }

# call_between HOST ADDRESS ROLE PBX [OPTION...]: the scenario NAME.callee on the pbx, at its address PBX, and NAME.ROLE on
# HOST, with the same sipp options for both.
call_between() {
  local host=$1 address=$2 role=$3 pbx=$4 callee caller
  shift 4
  sipp_as pbx "$pbx" "$name.callee" "$@"
  callee=$!
  until_true listening pbx 5060
  sipp_as "$host" "$address" "$name.$role" "$@" "$(at_5060 "$pbx")"
  caller=$!
  finished "$host" "$caller"
  finished pbx "$callee"
}

at_5060() { case $1 in *:*) echo "[$1]:5060" ;; *) echo "$1:5060" ;; esac; }

call() { call_between client 192.0.2.10 caller 198.51.100.20 "$@"; }
call6() { call_between client 2001:db8:1::10 caller 2001:db8:2::20; }

# stream HOST ROLE LOCAL REMOTE SCRIPT: one side of a TCP connection, see host/stream.ts.
stream() {
  cd "$work"
  start "$1" "stream-$5" node --import "$tsx" "$here/host/stream.ts" "$2" "$3" "$4" "$scenarios/$name.$5.stream"
}

streamed() {
  if ! wait "$2"; then
    echo "$name: stream $1 failed: $(cat "$work/stream-$1.log")" >&2
    exit 1
  fi
}

# lose NAMESPACE HOOK MATCH N: nftables drops the N-th packet (from 0; or a set { N, M }) that matches, once.
lose() {
  within "$1" nft -f - <<EOF
table inet lose {
  chain lose {
    type filter hook $2 priority 0
    $3 numgen inc mod 100000 == $4 drop
  }
}
EOF
}

make_fragmented-invite-ipv6() { call6; }
make_ipv6-call() { call6; }
make_ipv6-signalling-ipv4-media() { call6; }

make_tcp-split() {
  stream pbx listen 198.51.100.20:5060 0.0.0.0:1 callee
  local callee=$!
  until_true listening pbx 5060
  stream client connect 192.0.2.10:5070 198.51.100.20:5060 caller
  local caller=$!
  streamed caller "$caller"
  streamed callee "$callee"
}

# The INVITE's second segment is lost before the capture, the BYE after it.
make_tcp-reordered() {
  lose router forward 'ip saddr 192.0.2.10 tcp dport 5060 meta length > 1000' 1
  lose pbx input 'tcp dport 5060 meta length 200-1000' 2
  call -t t1
}

# What is lost is lost behind the capture: the first INVITE, the first 200 and the 200 to the BYE.
make_retransmissions() {
  lose pbx input 'udp dport 5060 meta length > 400' 0
  lose client input 'udp sport 5060' '{ 0, 2 }'
  call
}

make_ice-bundle() { call -t t1; }

make_trunk-many-calls() { call -m 20 -r 20 -l 20 -inf "$scenarios/$name.csv"; }

make_one-way-audio-private-address() {
  ip -n "$prefix-router" route add 10.20.0.0/24 via 198.51.100.20
  call
}

make_phone-behind-nat() {
  ip -n "$prefix-client" addr add 10.1.1.10/32 dev lo
  within client nft -f - <<'EOF'
table ip nat {
  chain out {
    type nat hook postrouting priority srcnat
    ip saddr 10.1.1.10 udp sport 5060 snat to 192.0.2.10:61060
    ip saddr 10.1.1.10 udp sport 49170 snat to 192.0.2.10:61170
  }
}
EOF
  call_between client 10.1.1.10 caller 198.51.100.20
}

make_attack-spoofed-bye() {
  sipp_as stranger 203.0.113.66 "$name.stranger" -cid_str "$name-1@192.0.2.10" 198.51.100.20:5060
  local stranger=$!
  call
  finished stranger "$stranger"
}

make_attack-sdp-third-host() { call_between stranger 203.0.113.66 stranger 198.51.100.20; }

make_attack-answer-without-invite() {
  sipp_as stranger 203.0.113.66 "$name.stranger" 198.51.100.20:5060
  finished stranger $!
}

make_attack-register-slipstream() {
  stream stranger listen 203.0.113.66:5060 0.0.0.0:1 stranger
  local stranger=$!
  stream workstation listen 198.51.100.40:3306 0.0.0.0:1 service
  local service=$!
  until_true listening stranger 5060
  until_true listening workstation 3306
  stream workstation connect 198.51.100.40:50400 203.0.113.66:5060 workstation
  local workstation=$!
  streamed workstation "$workstation"
  stream stranger connect 203.0.113.66:50500 198.51.100.40:3306 probe
  local probe=$!
  streamed stranger "$stranger"
  streamed probe "$probe"
  streamed service "$service"
}

make_attack-invite-slipstream() {
  stream stranger listen 203.0.113.66:5060 0.0.0.0:1 stranger
  local stranger=$!
  until_true listening stranger 5060
  stream workstation connect 198.51.100.40:50401 203.0.113.66:5060 workstation
  local workstation=$!
  streamed workstation "$workstation"
  streamed stranger "$stranger"
}

make_one() {
  name=$1
  network_up
  capture_start
  if declare -F "make_$name" >/dev/null; then "make_$name"; else call; fi
  capture_stop
  network_down
}

all=(
  basic-call early-media delayed-offer prack prack-offer-in-183 update-early
  reinvite-moves-port reinvite-refused direct-media-gateway hold-resume hold-zero-address
  cancel busy auth-407 forked trunk-many-calls lost-bye retransmissions
  tcp-split tcp-reordered fragmented-invite fragmented-invite-ipv6 ipv6-call ipv6-signalling-ipv4-media
  t38-fax rtcp-mux rtcp-attribute ice-bundle phone-behind-nat
  one-way-audio-private-address one-way-audio-unannounced-source
  attack-spoofed-bye attack-sdp-third-host attack-rtp-spray attack-answer-without-invite
  attack-register-slipstream attack-invite-slipstream
)

[ "$(id -u)" = 0 ] || { echo "make.sh: needs root, for network namespaces" >&2; exit 1; }
[ $# -gt 0 ] || set -- "${all[@]}"
for name; do make_one "$name"; done
