<?php
/*
 * What a PC has not: functions of the pfSense extension and classes of PEAR that the filter code calls. Put before
 * every script by auto_prepend_file.
 */
error_reporting(E_ALL & ~(E_NOTICE | E_WARNING | E_DEPRECATED));
ini_set('display_errors', PHP_SAPI === 'cli' ? 'stderr' : '1');
date_default_timezone_set('UTC');
umask(0022);

if (!function_exists('gettext')) {
	function gettext($text) {
		return $text;
	}
}

function standin_interfaces(): array {
	return json_decode(file_get_contents('/standin/interfaces.json'), true);
}

function pfSense_interface_listget() {
	return array_keys(standin_interfaces());
}

function pfSense_get_ifaddrs($name) {
	return standin_interfaces()[$name] ?? [];
}

function pfSense_get_interface_addresses($name) {
	return standin_interfaces()[$name] ?? [];
}

function pfSense_getall_interface_addresses($name) {
	$one = standin_interfaces()[$name]['addrs'][0] ?? null;
	return $one === null ? [] : ["{$one['addr']}/{$one['subnetbits']}"];
}

function pfSense_get_pf_states() {
	return [];
}

function pfSense_ip_to_mac($address) {
	return null;
}

foreach (['pfSense_get_os_hw_data', 'pfSense_fsync', 'pfSense_kldload', 'pfSense_get_interface_stats', 'pfSense_get_pf_rules', 'pfSense_kill_states', 'pfSense_get_modem_devices'] as $name) {
	if (!function_exists($name)) {
		eval("function {$name}() { return []; }");
	}
}

/* For text of ASCII, which is all that the tests' configurations hold. */
foreach (['strlen', 'substr', 'strtolower', 'strtoupper', 'strpos', 'str_split', 'str_pad', 'strrpos', 'substr_count'] as $name) {
	if (!function_exists("mb_{$name}")) {
		eval("function mb_{$name}(...\$words) { return {$name}(...\$words); }");
	}
}
if (!function_exists('mb_convert_encoding')) {
	function mb_convert_encoding($text, $to, $from = null) {
		return $text;
	}
	function mb_detect_encoding($text, $encodings = null, $strict = false) {
		return 'UTF-8';
	}
}

class PEAR {
	public static function loadExtension($name) {
		return true;
	}
}

class Net_IPv6 {
	public static function checkIPv6($address) {
		return filter_var($address, FILTER_VALIDATE_IP, FILTER_FLAG_IPV6) !== false;
	}

	public static function compress($address) {
		return inet_ntop(inet_pton($address));
	}

	public static function uncompress($address) {
		return implode(':', str_split(bin2hex(inet_pton($address)), 4));
	}

	public static function removeNetmaskSpec($address) {
		return explode('/', $address)[0];
	}

	public static function getNetmask($address, $bits = null) {
		$bytes = inet_pton(explode('/', $address)[0]);
		for ($bit = (int)($bits ?? explode('/', $address)[1]); $bit < 128; $bit++) {
			$bytes[$bit >> 3] = chr(ord($bytes[$bit >> 3]) & ~(0x80 >> ($bit & 7)));
		}
		return inet_ntop($bytes);
	}

	public static function isInNetmask($address, $network, $bits = null) {
		$bits ??= explode('/', $network)[1];
		return self::getNetmask($address, $bits) === self::getNetmask($network, $bits);
	}

	public static function getAddressType($address) {
		return 1;
	}
}
