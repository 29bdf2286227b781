<?php

/*
 * Copyright (c) 2026 The pinholed authors
 * SPDX-License-Identifier: BSD-2-Clause
 */

namespace OPNsense\Pinholed;

/**
 * Settings in the daemon's own words, as lines of its file.
 */
class MoreSettings
{
    /** What may be written there: nothing that a field has, that names a file, shows calls or takes commands. */
    public const KEYS = [
        'early-media-source', 'media-source', 'symmetric', 'ice', 'strict', 'on-firewall-error', 'metrics',
        'metrics-hosts', 'static-media', 'caps', 'timers',
    ];

    /**
     * @return array the lines of a text by their number from 1, empty ones left out
     */
    public static function lines($text)
    {
        $lines = array_map('rtrim', preg_split('/\r\n|\r|\n/', (string)$text));
        return array_filter(array_combine(range(1, count($lines)), $lines), 'strlen');
    }

    /**
     * What is wrong with a text. Its lines have to stay what they are wherever they stand in a file: one at the margin
     * is a comment or begins one of the settings above, the others belong to the one before.
     * @return array messages
     */
    public static function faults($text)
    {
        $faults = [];
        $begun = false;
        foreach (self::lines($text) as $number => $line) {
            if (preg_match('/[\x00-\x08\x0b-\x1f\x7f]/', $line)) {
                $faults[] = "line {$number}: expected text without control characters";
            } elseif (preg_match('/^([a-z-]+):(?: |$)/D', $line, $found)) {
                $begun = true;
                if (!in_array($found[1], self::KEYS, true)) {
                    $faults[] = "line {$number}: {$found[1]} is not set here, but by a field or not at all";
                }
            } elseif ($line[0] !== '#' && !($begun && $line[0] === ' ')) {
                $faults[] = "line {$number}: expected one of " . implode(', ', self::KEYS) .
                    ', or what belongs to it with blanks in front';
            }
        }
        return $faults;
    }

    /**
     * @return string the lines as the file has them, or nothing where one of them is wrong
     */
    public static function text($text)
    {
        return empty(self::faults($text)) ? implode("\n", self::lines($text)) : '';
    }
}
