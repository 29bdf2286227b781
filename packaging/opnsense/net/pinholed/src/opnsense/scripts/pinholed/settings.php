#!/usr/local/bin/php
<?php

/*
 * Copyright (c) 2026 The pinholed authors
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * settings.php write          writes the daemon's file; says unchanged, reload or restart
 * settings.php check FORM     says what the daemon finds wrong with a form (base64 of JSON) that is not saved yet
 * settings.php enabled        says yes or no
 * settings.php forget         removes the daemon's file and those with its passwords
 * settings.php found          what this firewall's own rules say about external addresses and uplinks, as JSON
 */

require_once('config.inc');
require_once('util.inc');
require_once('interfaces.inc');
require_once('filter.inc');
require_once('plugins.inc.d/pinholed.inc');

use OPNsense\Pinholed\DaemonSettings;
use OPNsense\Pinholed\Pinholed;

/* A whole file or none, root's alone where it is a secret. */
function put($path, $text, $mode)
{
    file_put_contents($path . '.new', '');
    chmod($path . '.new', $mode);
    file_put_contents($path . '.new', $text);
    rename($path . '.new', $path);
}

/* Whether one of them is another than before. */
function write_secrets($secrets)
{
    $changed = false;
    foreach ($secrets as $path => $text) {
        if ((is_file($path) ? file_get_contents($path) : null) === $text) {
            continue;
        }
        $changed = true;
        if ($text === null) {
            unlink($path);
            continue;
        }
        if (!is_dir(dirname($path))) {
            mkdir(dirname($path), 0700, true);
        }
        put($path, $text, 0600);
    }
    return $changed;
}

function authority($refid)
{
    foreach (config_read_array('ca', false) as $authority) {
        if (($authority['refid'] ?? '') === $refid) {
            return base64_decode($authority['crt'] ?? '');
        }
    }
    return null;
}

function write($settings, $secrets)
{
    $before = is_file(DaemonSettings::FILE) ? DaemonSettings::read(file_get_contents(DaemonSettings::FILE)) : null;
    $step = DaemonSettings::step($before, $settings);
    if ($step != 'unchanged') {
        put(DaemonSettings::FILE, DaemonSettings::text($settings), 0600);
    }
    /*
     * The daemon reads it again after it has given up root: its group may, nobody else, and only root may write it. One of
     * before may be anybody's to read.
     */
    $isGroups = @chgrp(DaemonSettings::FILE, DaemonSettings::USER);
    chmod(DaemonSettings::FILE, $isGroups ? 0640 : 0600);
    /* they are read at the start alone */
    return write_secrets($secrets) ? 'restart' : $step;
}

function check($settings)
{
    $file = tempnam('/tmp', 'pinholed');
    file_put_contents($file, DaemonSettings::text($settings));
    exec('/usr/local/bin/pinholed check --config ' . escapeshellarg($file) . ' 2>&1', $lines, $status);
    unlink($file);
    return $status == 0 ? '' : implode("\n", $lines);
}

$task = $argv[1] ?? '';
$form = $task == 'check' ? json_decode(base64_decode($argv[2] ?? ''), true) : (new Pinholed())->form();
if (!is_array($form)) {
    exit(1);
}
$machine = pinholed_machine($form);
switch ($task) {
    case 'enabled':
        echo (empty($form['enabled']) ? 'no' : 'yes') . PHP_EOL;
        break;
    case 'forget':
        foreach ([DaemonSettings::FILE, ...array_keys(DaemonSettings::secrets($form, null))] as $path) {
            if (is_file($path)) {
                unlink($path);
            }
        }
        break;
    case 'write':
        $secrets = DaemonSettings::secrets($form, authority($form['storeca']));
        echo write(DaemonSettings::make($form, $machine), $secrets) . PHP_EOL;
        break;
    case 'check':
        echo check(DaemonSettings::make($form, $machine)) . PHP_EOL;
        break;
    case 'found':
        $settings = DaemonSettings::make(['nat' => 'rules', 'uplinks' => 'gateways'] + $form, $machine);
        echo json_encode(['external' => $machine['external'], 'uplinks' => $settings['uplinks'] ?? []]) . PHP_EOL;
        break;
    default:
        exit(1);
}
