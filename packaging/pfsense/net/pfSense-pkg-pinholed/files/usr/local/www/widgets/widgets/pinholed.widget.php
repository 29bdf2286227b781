<?php
/*
 * pinholed.widget.php: the calls there are, on the dashboard.
 *
 * part of pfSense-pkg-pinholed
 * SPDX-License-Identifier: BSD-2-Clause
 */

require_once("guiconfig.inc");
require_once("/usr/local/pkg/pinholed.inc");
require_once("/usr/local/pkg/pinholed/status.inc");

$rwidgetkey = $_POST['widgetkey'] ?? $_GET['widgetkey'] ?? null;
if ($rwidgetkey !== null) {
	if (!is_valid_widgetkey($rwidgetkey, $user_settings, __FILE__)) {
		print gettext("Invalid Widget Key");
		exit;
	}
	$widgetkey = $rwidgetkey;
}

if (isset($_POST['ajax'])) {
	print pinholed_widget_table();
	exit;
}
?>
<div class="table-responsive">
	<table class="table table-striped table-hover table-condensed">
		<tbody id="<?=htmlspecialchars($widgetkey)?>-pinholed"><?=pinholed_widget_table()?></tbody>
	</table>
</div>
<script>
//<![CDATA[
events.push(function() {
	register_ajax({
		name: 'pinholed',
		url: '/widgets/widgets/pinholed.widget.php',
		callback: function(html) {
			$(<?=json_encode("#{$widgetkey}-pinholed", JSON_HEX_TAG)?>).html(html);
		},
		parms: { ajax: 'ajax', widgetkey: <?=json_encode($widgetkey, JSON_HEX_TAG)?> },
		freq: 3
	});
});
//]]>
</script>
