#!/bin/sh

# Nothing of the daemon stays: neither a call's rules nor their states, nor a file of it.

/usr/local/opnsense/scripts/pinholed/close.sh
rm -rf /var/db/pinholed /var/run/pinholed.sock /var/run/pinholed.pid*
