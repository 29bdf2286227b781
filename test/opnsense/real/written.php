<?php

/* Prints the file that the plugin's script writes for the daemon. */

$argv = ['settings.php', 'write'];
ob_start();
require '/usr/local/opnsense/scripts/pinholed/settings.php';
ob_end_clean();
echo file_get_contents('/usr/local/etc/pinholed.yaml');
