#!/bin/sh

# Nothing of the daemon stays: neither a call's rules nor their states, nor a file of it.

if service pinholed onestatus >/dev/null 2>&1; then
	/usr/local/bin/pinholed flush >/dev/null 2>&1
	service pinholed onestop
fi
for shard in $(pfctl -a pinholed -s Anchors 2>/dev/null) pinholed; do
	for kind in rules nat; do
		pfctl -q -a "${shard}" -F ${kind} 2>/dev/null
	done
done
rm -rf /var/db/pinholed /var/run/pinholed.sock /var/run/pinholed.pid*
