#!/bin/sh

# Before each start: what the daemon needs of this firewall, which an upgrade of the base system may have taken away.

if ! pw groupshow _pinholed >/dev/null 2>&1; then
	pw groupadd _pinholed
fi
if ! pw usershow _pinholed >/dev/null 2>&1; then
	pw useradd _pinholed -g _pinholed -d /nonexistent -s /usr/sbin/nologin -c pinholed
fi
kldstat -qm ipdivert || kldload ipdivert
/usr/local/opnsense/scripts/pinholed/settings.php write >/dev/null
