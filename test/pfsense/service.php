<?php
/* Questions as a JSON object on stdin, the package's answers as one on stdout. */
error_reporting(E_ALL);
set_error_handler(function ($level, $message, $file, $line) {
	throw new ErrorException($message, 0, $level, $file, $line);
}, E_ALL & ~E_WARNING);
require_once(__DIR__ . '/standin.php');
$package = __DIR__ . '/../../packaging/pfsense/net/pfSense-pkg-pinholed/files/usr/local/pkg/pinholed';
require_once("{$package}/status.inc");

function config_set_path(string $path, $value): void {
	global $items;
	$items = $value;
}

function write_config(string $why): void {
}

$asked = json_decode(file_get_contents('php://stdin'), true, 64, JSON_THROW_ON_ERROR);
$registered = [];
foreach ($asked['receivers'] as $text) {
	$items = [['type' => 'plugin_carp'], ['type' => 'plugin_xmlrpc_recv'], ['type' => 'plugin_gateway']];
	$config = ['installedpackages' => ['package' => [['configurationfile' => 'pinholed.xml', 'plugins' => ['item' => $items]]]]];
	$file = tempnam(sys_get_temp_dir(), 'receiver');
	file_put_contents($file, $text);
	pinholed_register_sync($file);
	unlink($file);
	$registered[] = array_column($items, 'type');
}
echo json_encode([
	'changes' => array_map(fn ($pair) => pinholed_change($pair[0], $pair[1]), $asked['changes']),
	'reloaded' => PINHOLED_RELOADED,
	'registered' => $registered,
	'parties' => array_map('pinholed_party', $asked['parties']),
	'spans' => array_map('pinholed_span', $asked['spans']),
], JSON_THROW_ON_ERROR);
