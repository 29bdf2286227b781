<?php
/* Cases as a JSON array on stdin, what the package makes of each as a JSON array on stdout. */
error_reporting(E_ALL);
set_error_handler(function ($level, $message, $file, $line) {
	throw new ErrorException($message, 0, $level, $file, $line);
});
require_once(__DIR__ . '/standin.php');
$package = __DIR__ . '/../../packaging/pfsense/net/pfSense-pkg-pinholed/files/usr/local/pkg/pinholed';
require_once("{$package}/rules.inc");
require_once("{$package}/yaml.inc");
require_once("{$package}/service.inc");
require_once("{$package}/form.inc");

$results = [];
foreach (json_decode(file_get_contents('php://stdin'), true, 64, JSON_THROW_ON_ERROR) as $case) {
	standin_begin($case);
	$settings = pinholed_settings();
	$results[] = [
		'nat' => pinholed_rules('nat', $settings),
		'pfearly' => pinholed_rules('pfearly', $settings),
		'filter' => pinholed_rules('filter', $settings),
		'again' => pinholed_rules('pfearly', $settings),
		'other' => pinholed_rules('rdr', $settings) . pinholed_rules('rule', $settings),
		'negateTracker' => $negate_tracker,
		'yaml' => pinholed_yaml($settings),
		'fields' => array_column(pinholed_yaml_lines($settings), 1),
		'settings' => $settings,
		'secrets' => pinholed_secrets($settings),
		'faults' => pinholed_faults(pinholed_form(), fn () => []),
		'more' => PINHOLED_MORE,
	];
}
echo json_encode($results, JSON_THROW_ON_ERROR | JSON_INVALID_UTF8_SUBSTITUTE);
