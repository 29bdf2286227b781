<?php

/* Calls one method of the plugin's library with arguments from standard input and prints what it returns, as JSON. */

error_reporting(E_ALL);
set_error_handler(function ($level, $message, $file, $line) {
    throw new ErrorException($message, 0, $level, $file, $line);
});
spl_autoload_register(function ($class) use ($argv) {
    require $argv[1] . '/' . str_replace('\\', '/', $class) . '.php';
});

use OPNsense\Pinholed\CallTable;
use OPNsense\Pinholed\DaemonSettings;
use OPNsense\Pinholed\DivertRules;
use OPNsense\Pinholed\ExternalAddresses;
use OPNsense\Pinholed\MoreSettings;

$given = json_decode(stream_get_contents(STDIN), true, 512, JSON_THROW_ON_ERROR);
$lookup = function ($table) {
    return function ($name) use ($table) {
        return $table[$name] ?? [];
    };
};
switch ($given['task']) {
    case 'following':
    case 'all':
        $rules = new DivertRules($given['settings'], $lookup($given['aliases'] ?? []));
        $result = $given['task'] == 'all' ? $rules->all() : $rules->following($given['rules']);
        break;
    case 'external':
        $external = new ExternalAddresses($given['interfaces'], $lookup($given['hosts']), $lookup($given['ports']));
        $result = $external->find($given['forwards'], $given['oneToOne'], $given['sip']);
        break;
    case 'settings':
        $settings = DaemonSettings::make($given['form'], $given['machine']);
        $text = DaemonSettings::text($settings);
        $result = [
            'text' => $text,
            'same' => DaemonSettings::read($text) == $settings,
            'secrets' => DaemonSettings::secrets($given['form'], $given['authority'] ?? null),
            'faults' => MoreSettings::faults($given['form']['more'] ?? ''),
            'more' => MoreSettings::KEYS,
        ];
        break;
    case 'step':
        $result = DaemonSettings::step($given['before'], $given['after']);
        break;
    case 'problems':
        $result = DaemonSettings::problems($given['said'], $given['form']);
        break;
    case 'refused':
        $result = CallTable::refused($given['refused']);
        break;
    case 'network':
        $result = DaemonSettings::network($given['address'], $given['bits']);
        break;
    case 'calls':
        $result = CallTable::rows($given['calls']);
        break;
}
echo json_encode($result, JSON_THROW_ON_ERROR | JSON_PRETTY_PRINT);
