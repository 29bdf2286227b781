<?php

/* Prints the ruleset that OPNsense's own filter code writes for /conf/config.xml. */

require_once 'config.inc';
require_once 'util.inc';
require_once 'interfaces.inc';
require_once 'filter.inc';

filter_configure_sync();
if (is_file('/tmp/rules.error')) {
    fwrite(STDERR, file_get_contents('/tmp/rules.error'));
    exit(1);
}
echo file_get_contents('/tmp/rules.debug');
