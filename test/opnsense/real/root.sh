#!/bin/sh
# root.sh CORE PLUGIN HERE ARGUMENTS...: runs php with them where an opnsense/core tree and the plugin are
# installed in /usr/local, as root in a mount namespace of its own (unshare -m) that ends with it. Standard input is the
# configuration. Programs of FreeBSD that a PC has not come from HERE/sbin; HERE/*.php are in /mnt/keep.
set -eu
core=$1 plugin=$2 here=$3
shift 3
mount --make-rprivate /

mount -t tmpfs tmpfs /mnt
cd /mnt
mkdir -p local/upper local/work sbin/upper sbin/work keep conf conf/backup tmp log cache
cp "$here"/*.php keep
cat >conf/config.xml
mkdir -p local/upper/bin local/upper/opnsense/version local/upper/sbin
echo '{"product_name":"OPNsense","product_version":"tests","product_series":"tests"}' >local/upper/opnsense/version/core
cp "$here"/sbin/* sbin/upper
# Also what scripts begin with.
cat >local/upper/bin/php <<'PHP'
#!/bin/sh
exec /usr/bin/php -d display_errors=stderr -d auto_prepend_file=/mnt/keep/framework.php \
	-d include_path=/usr/local/etc/inc:/usr/local/www:/usr/local/opnsense/mvc:/usr/local/opnsense/contrib "$@"
PHP
chmod 755 local/upper/bin/php
mount -t overlay overlay -o "lowerdir=$plugin:$core/src,upperdir=$PWD/local/upper,workdir=$PWD/local/work" /usr/local
mount -t overlay overlay -o "lowerdir=/usr/sbin,upperdir=$PWD/sbin/upper,workdir=$PWD/sbin/work" /usr/sbin
# What setup.sh makes with pw(8).
cp /etc/group group
echo '_pinholed:x:64999:' >>group
mount --bind "$PWD/group" /etc/group
mkdir -p /conf /var/db
mount -t tmpfs tmpfs /var/db
mount --bind "$PWD/conf" /conf
mount --bind "$PWD/log" /var/log
mount --bind "$PWD/cache" /var/cache
keep=/mnt/keep
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/lib
mkdir -p /var/lib/php/tmp
mount --bind "$PWD/tmp" /tmp
exec /usr/local/bin/php "$@"
