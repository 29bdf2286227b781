#!/bin/sh

# Ends every call: its rules, its translations and its states go, and the daemon is stopped.

if service pinholed onestatus >/dev/null 2>&1; then
	/usr/local/bin/pinholed flush >/dev/null 2>&1
	service pinholed onestop
fi
for shard in $(pfctl -a pinholed -s Anchors 2>/dev/null) pinholed; do
	for kind in rules nat; do
		pfctl -q -a "${shard}" -F ${kind} 2>/dev/null
	done
done
