<?php
/* The changing part of the status page, the widget's table, or the errors of a form, with a daemon at the socket given. */
error_reporting(E_ALL);
require_once(__DIR__ . '/standin.php');
$package = __DIR__ . '/../../packaging/pfsense/net/pfSense-pkg-pinholed/files/usr/local/pkg/pinholed';
require_once("{$package}/status.inc");
require_once("{$package}/form.inc");


[, $what, $words] = $argv;
$config = ['installedpackages' => ['pinholed' => ['config' => [['enable' => 'on']]]]];
switch ($what) {
	case 'page':
		echo pinholed_status_page($words);
		break;
	case 'widget':
		echo '<table><tbody>' . pinholed_widget_table($words) . '</tbody></table>';
		break;
	case 'close':
		echo json_encode(array_map(fn ($leg) => pinholed_close_call($leg, $words), ['0123456789abcdef', "x'; id", null, ['a']]));
		break;
	case 'form':
		$pinholed_faults = array_map(fn ($text) => ['sipports', $text], json_decode($words));
		echo '<form><div class="form-group"><input name="sipports"></div></form>';
		pinholed_after_form();
		break;
}
