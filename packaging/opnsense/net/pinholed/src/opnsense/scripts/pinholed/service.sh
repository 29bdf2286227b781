#!/bin/sh

# service.sh start|stop|restart|reload
#
# A stop of a daemon that is not enabled any more closes what it opened, and leaves none of its settings and passwords in a
# file: they are in config.xml. The filter is reloaded by the page that disabled it.
# A reload starts the daemon anew only where a setting asks for it, and does nothing where none has changed. Where the
# rules that hand SIP to the daemon depend on it (pinholed_follows), they come and go right after it.

filter()
{
	if grep -qs '^pinholed_follows="YES"' /etc/rc.conf.d/pinholed; then
		/usr/local/sbin/configctl filter reload skip_alias
	fi
}

case "$1" in
start|restart)
	/usr/local/opnsense/scripts/pinholed/setup.sh
	service pinholed "$1"
	status=$?
	filter
	exit ${status}
	;;
stop)
	if [ "$(/usr/local/opnsense/scripts/pinholed/settings.php enabled)" = no ]; then
		/usr/local/opnsense/scripts/pinholed/close.sh
		/usr/local/opnsense/scripts/pinholed/settings.php forget
		exit 0
	fi
	service pinholed stop
	status=$?
	filter
	exit ${status}
	;;
reload)
	case "$(/usr/local/opnsense/scripts/pinholed/settings.php write)" in
	unchanged)
		;;
	reload)
		service pinholed reload
		;;
	*)
		service pinholed restart
		filter
		;;
	esac
	;;
esac
