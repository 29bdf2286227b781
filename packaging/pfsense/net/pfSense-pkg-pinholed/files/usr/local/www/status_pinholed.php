<?php
/*
 * status_pinholed.php: telephone calls, and what is open for them.
 *
 * part of pfSense-pkg-pinholed
 * SPDX-License-Identifier: BSD-2-Clause
 */

require_once("guiconfig.inc");
require_once("/usr/local/pkg/pinholed.inc");
require_once("/usr/local/pkg/pinholed/status.inc");

if (isset($_POST['close'])) {
	[$class, $message] = pinholed_close_call($_POST['close']);
}

/* The parts that change, for the script below; without it the page is as good, and is loaded anew by hand. */
if (isset($_GET['ajax'])) {
	echo pinholed_status_page();
	exit;
}

$pgtitle = [gettext("Status"), gettext("SIP Pinholes")];
$pglinks = ["", "@self"];
$shortcut_section = "pinholed";
include("head.inc");

if (isset($message)) {
	print_info_box(htmlspecialchars($message), $class);
}

$tabs = [
	[gettext("Settings"), false, "/pkg_edit.php?xml=pinholed.xml&id=0"],
	[gettext("Status"), true, "/status_pinholed.php"],
];
display_top_tabs($tabs);
?>
<style>
/* On a telephone a row is a block, so that nothing has to be looked for at the side. */
@media (max-width: 767px) {
	#pinholed-status thead { display: none; }
	#pinholed-status table, #pinholed-status tbody, #pinholed-status tr, #pinholed-status td { display: block; }
	#pinholed-status .table-responsive > .table > tbody > tr > td { border: 0; padding: 2px 10px; white-space: normal; overflow-wrap: anywhere; }
	#pinholed-status tr { padding: 6px 0; border-bottom: 1px solid #ddd; }
	#pinholed-status td[data-label]:not([data-label=""]):before { content: attr(data-label) ": "; font-size: 85%; opacity: .7; }
	#pinholed-status br { display: none; }
	#pinholed-status small { margin-left: .4em; }
}
</style>
<form method="post" action="/status_pinholed.php">
<!-- The first button of a page has the focus: it is not one that closes a call. -->
<p class="text-right"><button type="submit" class="btn btn-xs btn-info"><i class="fa-solid fa-arrows-rotate icon-embed-btn"></i><?=gettext("Refresh")?></button></p>
<div id="pinholed-status">
<?=pinholed_status_page()?>
</div>
</form>
<script>
//<![CDATA[
events.push(function() {
	setInterval(function() {
		if (!document.hidden) {
			$.get('/status_pinholed.php', { ajax: 1 }, function(html) {
				$('#pinholed-status').html(html);
			});
		}
	}, 5000);
});
//]]>
</script>
<?php
include("foot.inc");
