<?php

/*
 * Copyright (c) 2026 The pinholed authors
 * SPDX-License-Identifier: BSD-2-Clause
 */

namespace OPNsense\Pinholed;

/**
 * Ports as text and as ranges: lists of [first, last].
 */
class Ports
{
    /**
     * @param string $text one port or range: 5060, 10000-20000, 10000:20000
     * @return array|null [first, last], null for what is none
     */
    public static function range($text)
    {
        if (!preg_match('/^(\d{1,5})(?:[-:](\d{1,5}))?$/D', trim((string)$text), $found)) {
            return null;
        }
        $first = (int)$found[1];
        $last = (int)($found[2] ?? $first);
        return 1 <= $first && $first <= $last && $last <= 65535 ? [$first, $last] : null;
    }

    /**
     * @param array|string $words ports and ranges, as an array or separated by commas
     * @return array ranges; what is none is left out
     */
    public static function ranges($words)
    {
        $words = is_array($words) ? $words : explode(',', (string)$words);
        return array_values(array_filter(array_map([self::class, 'range'], $words)));
    }

    /**
     * @return array what is in both lists, in the order of the second
     */
    public static function common(array $some, array $others)
    {
        $result = [];
        foreach ($others as list($low, $high)) {
            foreach ($some as list($first, $last)) {
                if (max($first, $low) <= min($last, $high)) {
                    $result[] = [max($first, $low), min($last, $high)];
                }
            }
        }
        return $result;
    }

    /**
     * @return array ranges in ascending order, those that touch made one
     */
    public static function merged(array $ranges)
    {
        sort($ranges);
        $result = [];
        foreach ($ranges as list($first, $last)) {
            $before = count($result) - 1;
            if ($before >= 0 && $first <= $result[$before][1] + 1) {
                $result[$before][1] = max($result[$before][1], $last);
            } else {
                $result[] = [$first, $last];
            }
        }
        return $result;
    }

    /**
     * @param array $range [first, last]
     * @param string $between what stands between the two: ':' for pf, '-' for the daemon
     */
    public static function text(array $range, $between)
    {
        return $range[0] == $range[1] ? (string)$range[0] : $range[0] . $between . $range[1];
    }
}
