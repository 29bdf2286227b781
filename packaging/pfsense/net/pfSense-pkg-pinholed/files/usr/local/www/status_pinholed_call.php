<?php
/*
 * status_pinholed_call.php: one call with its ladder, drawn by the daemon's own program.
 *
 * part of pfSense-pkg-pinholed
 * SPDX-License-Identifier: BSD-2-Clause
 */

require_once("guiconfig.inc");
require_once("/usr/local/pkg/pinholed.inc");
require_once("/usr/local/pkg/pinholed/status.inc");

$page = pinholed_call_page($_GET['legId'] ?? null);
if ($page === null) {
	$pgtitle = [gettext("Status"), gettext("SIP Pinholes"), gettext("Call")];
	$pglinks = ["", "/status_pinholed.php", "@self"];
	include("head.inc");
	print_info_box(gettext("There is no such call, or it is forgotten."), 'warning', false);
	include("foot.inc");
	exit;
}

/*
 * The page carries a policy of its own, which lets it load and send nothing. pfSense puts a script into every page for
 * its forms, which that policy would refuse; there is no form here.
 */
while (ob_get_level() > 0) {
	ob_end_clean();
}
header('Cache-Control: no-store');
header('X-Content-Type-Options: nosniff');
echo $page;
