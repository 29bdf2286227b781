<?php

/*
 * Copyright (c) 2026 The pinholed authors
 * SPDX-License-Identifier: BSD-2-Clause
 */

namespace OPNsense\Pinholed;

/**
 * The calls as the page shows them: plain text, which whoever writes it into a page has to escape.
 */
class CallTable
{
    /** As many as configd asks for (actions_pinholed.conf). */
    public const MOST = 300;

    /**
     * @param array $calls as "pinholed calls --json" has them
     * @return array rows
     */
    public static function rows(array $calls)
    {
        return array_values(array_map(function ($call) {
            $end = self::text($call['endReason'] ?? '');
            $legId = $call['legId'] ?? '';
            return [
                'legId' => is_string($legId) && preg_match('/^[0-9a-f]{16}$/D', $legId) ? $legId : '',
                'from' => self::party($call['from'] ?? ''),
                'to' => self::party($call['to'] ?? ''),
                'parties' => implode(' - ', array_map([self::class, 'text'], self::listed($call['parties'] ?? []))),
                'state' => self::text($call['state'] ?? '') . ($end == '' ? '' : ': ' . $end),
                'age' => self::span($call['age'] ?? 0),
                'pinholes' => array_map([self::class, 'pinhole'], self::listed($call['pinholes'] ?? [])),
                'towards' => ['caller' => self::packetsTo('caller', $call), 'callee' => self::packetsTo('callee', $call)],
                'silent' => self::silent($call),
                'ended' => ($call['state'] ?? '') == 'ended',
            ];
        }, array_filter($calls, 'is_array')));
    }

    /**
     * @param array $refused as "pinholed refused --json" has them
     * @return array rows
     */
    public static function refused(array $refused)
    {
        return array_values(array_map(function ($one) {
            $legId = $one['legId'] ?? '';
            return [
                'legId' => is_string($legId) && preg_match('/^[0-9a-f]{16}$/D', $legId) ? $legId : '',
                'at' => date('Y-m-d H:i:s', (int)($one['at'] ?? 0)),
                'from' => self::party($one['from'] ?? ''),
                'to' => self::party($one['to'] ?? ''),
                'reason' => self::text($one['reason'] ?? ''),
                'why' => self::text($one['why'] ?? ''),
                'advice' => self::text($one['advice'] ?? ''),
            ];
        }, array_filter($refused, 'is_array')));
    }

    /** `"Reception" <sip:200@pbx.example.com>;tag=1` as people say it: Reception, sip:200@pbx.example.com. */
    private static function party($header)
    {
        $text = trim(self::text($header));
        if (!preg_match('/^("(?:[^"\\\\]|\\\\.)*"|[^"<]*)\s*<([^>]*)>/', $text, $found)) {
            return preg_replace('/;tag=.*/', '', $text);
        }
        $name = trim($found[1], " \t\"");
        return $name == '' ? $found[2] : $name . ', ' . $found[2];
    }

    /** Packets that were on their way to the caller or the callee; '-' before the first, '' where nobody tells who sends. */
    private static function packetsTo($party, $call)
    {
        $count = is_array($call['packetsTo'] ?? null) ? $call['packetsTo'][$party] ?? null : null;
        if (is_int($count)) {
            return number_format($count);
        }
        return (int)($call['packets'] ?? 0) > 0 ? '' : '-';
    }

    /**
     * Who gets no audio though it was agreed on.
     * @return array why and what to do, by "caller" and "callee"
     */
    private static function silent($call)
    {
        $missing = is_array($call['noAudio'] ?? null) ? $call['noAudio'] : [];
        $causes = array_map(function ($cause) {
            return is_array($cause) ? trim(self::text($cause['text'] ?? '') . ' ' . self::text($cause['advice'] ?? '')) : '';
        }, self::listed($missing['causes'] ?? []));
        $parties = array_intersect(['caller', 'callee'], array_filter(self::listed($missing['to'] ?? []), 'is_string'));
        return array_fill_keys($parties, implode(' ', $causes));
    }

    private static function pinhole($pinhole)
    {
        $ports = self::listed($pinhole['ports'] ?? []) + [0, 0];
        return sprintf(
            '%s %s port %s',
            self::text($pinhole['protocol'] ?? ''),
            self::text($pinhole['address'] ?? ''),
            Ports::text([(int)$ports[0], (int)$ports[1]], '-')
        );
    }

    private static function listed($value)
    {
        return is_array($value) ? array_values($value) : [];
    }

    /** Bytes of the network came as Latin-1 characters. What steers a terminal or turns text around is left out. */
    private static function text($value)
    {
        $steering = '/[\x{0}-\x{1f}\x{7f}-\x{9f}\x{200b}-\x{200f}\x{2028}-\x{202e}\x{2066}-\x{2069}\x{feff}]/u';
        return is_scalar($value) ? (string)preg_replace($steering, '', (string)$value) : '';
    }

    private static function span($seconds)
    {
        $seconds = (int)$seconds;
        $rest = gmdate('i:s', $seconds);
        return $seconds < 3600 ? $rest : intdiv($seconds, 3600) . ':' . $rest;
    }
}
