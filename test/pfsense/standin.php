<?php
/*
 * The few functions of pfSense that the package calls, over one configuration held in memory: enough to see what
 * the package makes of it. What pfSense itself makes of the package is in real.test.ts.
 */

$config = [];
$FilterIflist = [];
$negate_tracker = 10000000;
$standin = ['osreldate' => '1500029', 'gateways' => [], 'macros' => '', 'running' => false, 'captive' => '', 'calls' => []];

function config_get_path(string $path, $default = null) {
	global $config;
	$node = $config;
	foreach (explode('/', $path) as $part) {
		if (!is_array($node) || !array_key_exists($part, $node)) {
			return $default;
		}
		$node = $node[$part];
	}
	return $node === '' && is_array($default) ? $default : $node;
}

function config_path_enabled(string $path, string $key = 'enable'): bool {
	$node = config_get_path($path, []);
	return is_array($node) && isset($node[$key]) && $node[$key] !== false;
}

function get_real_interface(string $key): string {
	return (string)config_get_path("interfaces/{$key}/if", '');
}

function get_interface_ip(string $key) {
	return config_get_path("interfaces/{$key}/ipaddr");
}

function get_interface_subnet(string $key) {
	return config_get_path("interfaces/{$key}/subnet");
}

function get_interface_ipv6(string $key) {
	return config_get_path("interfaces/{$key}/ipaddrv6");
}

function get_interface_subnetv6(string $key) {
	return config_get_path("interfaces/{$key}/subnetv6");
}

function is_ipaddrv4($text): bool {
	return filter_var($text, FILTER_VALIDATE_IP, FILTER_FLAG_IPV4) !== false;
}

function is_ipaddrv6($text): bool {
	return filter_var($text, FILTER_VALIDATE_IP, FILTER_FLAG_IPV6) !== false;
}

function is_linklocal($text): bool {
	return (bool)preg_match('/^fe[89ab]/i', (string)$text);
}

function is_private_ip($text): bool {
	return filter_var($text, FILTER_VALIDATE_IP, FILTER_FLAG_NO_PRIV_RANGE) === false;
}

function gen_subnet(string $address, $bits): string {
	return long2ip(ip2long($address) & (-1 << (32 - (int)$bits)));
}

function gen_subnetv6(string $address, $bits): string {
	$bytes = inet_pton($address);
	for ($bit = (int)$bits; $bit < 128; $bit++) {
		$bytes[$bit >> 3] = chr(ord($bytes[$bit >> 3]) & ~(0x80 >> ($bit & 7)));
	}
	return inet_ntop($bytes);
}

function get_gateways(): array {
	global $standin;
	return $standin['gateways'];
}

function get_single_sysctl(string $name): string {
	global $standin;
	return $name === 'kern.osreldate' ? $standin['osreldate'] : '';
}

function isvalidpid(string $file): bool {
	global $standin;
	return $standin['running'];
}

function filter_generate_gateways(): string {
	global $standin;
	return $standin['macros'];
}

function filter_captiveportal_pass(): string {
	global $standin;
	return $standin['captive'];
}

/* A rule in the words of pfSense 2.8, for the fields that the tests use; nothing is checked or escaped, as there. */
function filter_generate_user_rule($rule, &$labels = null) {
	global $FilterIflist, $negate_tracker;

	if (($rule['sched'] ?? '') === 'over') {
		return "# schedule finished - {$rule['descr']}";
	}
	$type = ['pass' => 'pass ', 'block' => 'block ', 'reject' => 'block return ', 'match' => 'match '][$rule['type'] ?? 'pass'];
	$on = '';
	if (isset($rule['floating'])) {
		$names = array_filter(explode(',', $rule['interface'] ?? ''), fn ($name) => isset($FilterIflist[$name]));
		$on = $names ? ' on { ' . implode(' ', array_map(fn ($name) => $FilterIflist[$name]['if'], $names)) . ' } ' : '';
		$direction = ($rule['direction'] ?? 'any') === 'any' ? '' : " {$rule['direction']} ";
	} else {
		$on = " on \${$FilterIflist[$rule['interface']]['descr']} ";
		$direction = ' in ';
	}
	$quick = !isset($rule['floating']) || isset($rule['quick']) ? ' quick ' : '';
	$log = isset($rule['log']) ? 'log ' : '';
	$proto = ['' => '', 'any' => '', 'tcp/udp' => ' proto { tcp udp } '][$rule['protocol'] ?? ''] ?? " proto {$rule['protocol']} ";
	$side = function (array $what) {
		$not = isset($what['not']) ? '! ' : '';
		$address = isset($what['any']) ? 'any' : $not . (isset($what['network']) ? '$' . strtoupper($what['network']) . '__NETWORK' : $what['address']);
		return $address . (empty($what['port']) ? '' : " port {$what['port']} ");
	};
	$route = empty($rule['gateway']) || ($rule['type'] ?? 'pass') !== 'pass' ? '' : " \$GW{$rule['gateway']} ";
	$state = ($rule['type'] ?? 'pass') === 'pass' ? 'keep state ' . (empty($rule['statetype']) ? '' : "({$rule['statetype']}) ") : '';
	$queue = empty($rule['defaultqueue']) ? '' : " queue ({$rule['defaultqueue']}) ";
	$tag = empty($rule['tag']) ? '' : " tag \"{$rule['tag']}\" ";
	$tracker = empty($rule['tracker']) ? '' : "ridentifier {$rule['tracker']} ";
	$labels = implode(' ', array_filter([
		empty($rule['tracker']) ? '' : "label \"id:{$rule['tracker']}\"",
		empty($rule['sched']) ? '' : "label \"s:{$rule['sched']}\"",
		$route === '' ? '' : "label \"gw:{$rule['gateway']}\"",
	]));
	$negated = '';
	if ($route !== '' && isset($rule['negate'])) {
		$negate_tracker++;
		$negated = "{$type}{$direction}{$log}{$quick}{$on}inet{$proto} from " . $side($rule['source']) . " to <negate_networks> " .
		    "ridentifier {$negate_tracker} keep state  label \"NEGATE_ROUTE: Negate policy routing for destination\" {$labels}\n";
	}
	$family = ($rule['ipprotocol'] ?? 'inet') === 'inet6' ? 'inet6' : 'inet';
	return "{$negated}{$type}{$direction}{$log}{$quick}{$on}{$route}{$family}{$proto} from " . $side($rule['source']) . ' to ' .
	    $side($rule['destination']) . " {$tag}{$tracker}{$state}{$queue}";
}

/* What pfSense knows of its interfaces while it makes rules. */
function standin_begin(array $case): void {
	global $config, $FilterIflist, $negate_tracker, $standin;

	$config = $case['config'];
	$FilterIflist = [];
	foreach ($config['interfaces'] ?? [] as $key => $interface) {
		$FilterIflist[$key] = ['if' => $interface['if'], 'descr' => $interface['descr'] ?? strtoupper($key)];
	}
	foreach ($config['ifgroups']['ifgroupentry'] ?? [] as $group) {
		$FilterIflist[$group['ifname']] = ['if' => $group['ifname'], 'descr' => $group['ifname']];
	}
	$negate_tracker = 10000000;
	$standin = ($case['machine'] ?? []) + [
		'osreldate' => '1500029', 'gateways' => [], 'macros' => '', 'running' => false, 'captive' => '', 'calls' => [],
	];
}
