<?php

/*
 * Copyright (c) 2026 The pinholed authors
 * SPDX-License-Identifier: BSD-2-Clause
 */

namespace OPNsense\Pinholed;

/**
 * The settings of the form as the daemon's configuration file: a line for each, its value JSON, which is YAML, so that
 * no value can be anything but a value; and below them more settings, in the daemon's own words.
 */
class DaemonSettings
{
    public const FILE = '/usr/local/etc/pinholed.yaml';
    public const USER = '_pinholed';
    public const DIVERT_PORT = 8668;
    public const ANCHOR = 'pinholed';

    /** Where the daemon loads rules of its own, when it does. */
    public const DIVERT_ANCHOR = 'pinholed/divert';

    /** What the daemon reads beside its configuration; root's alone. */
    public const STORE_PASSWORD = '/var/db/pinholed/store-password';
    public const STORE_CA = '/var/db/pinholed/store-ca.pem';
    public const HEP_PASSWORD = '/var/db/pinholed/hep-password';

    /** Stands before the settings in the daemon's own words: what follows is the end of the file. */
    private const MORE_BEGINS = "# More settings, as they were written:\n";

    private const PRIVATE_NETWORKS = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'];

    /** What the daemon never opens when it is not told otherwise. */
    private const DENIED_PORTS = [
        '1194', '1433-1434', '1521', '1701', '1719-1720', '1723', '1812-1813', '1883', '1900', '2049', '2375-2376',
        '3306', '3389', '3702', '4500', '5060-5061', '5353', '5355', '5432', '5683', '5900-5903', '5985-5986', '6379',
        '9100', '9200',
    ];

    /** Top-level keys of the file that a running daemon takes up at a reload; any other needs a restart. */
    private const RELOADED = [
        'inside', 'inside-interfaces', 'media-ports', 'denied-ports', 'media-hosts', 'peers', 'tcp-media', 'outbound',
        'nat', 'log', 'hold-encrypted',
    ];

    /** The field of the form that a key of the file comes from. */
    private const FIELDS = [
        'inside' => 'inside', 'inside-interfaces' => 'interfaces', 'media-ports' => 'mediaports',
        'denied-ports' => 'sipports', 'sip-ports' => 'sipports', 'media-hosts' => 'mediahosts', 'peers' => 'peers',
        'tcp-media' => 'tcpmedia', 'outbound' => 'outbound', 'nat' => 'nat', 'uplinks' => 'uplinks', 'mode' => 'mode',
        'fail' => 'fail', 'freebsd' => 'interfaces', 'peers-store' => 'storeurl', 'peers-store.tls' => 'storeca',
        'peers-store.sentinel' => 'storesentinel',
        'peers-store.password-file' => 'storepassword', 'peers-store.confirm' => 'storeconfirm', 'hep' => 'heplisten',
        'hep.from' => 'hepfrom', 'hep.speaks-for' => 'hepspeaksfor', 'hep.password-file' => 'heppassword',
        'hold-encrypted' => 'holdencrypted', 'blocked' => 'blocked', 'log.parties' => 'logparties', 'log' => 'loglevel',
    ];

    /**
     * @param array $form fields of the general section as text, with 'mappings' and 'peers': uuid => fields
     * @param array $machine interfaces: name => ['if', 'networks' => those of its addresses]; gateways: ['if',
     * 'gateway']; external: as ExternalAddresses::find() has it
     * @return array as the file has it
     */
    public static function make(array $form, array $machine)
    {
        $inside = self::realInterfaces($form, $machine);
        $sip = Ports::ranges($form['sipports']);
        $result = [
            'platform' => 'freebsd',
            'mode' => $form['mode'],
            'inside' => self::inside($form, $machine),
            'inside-interfaces' => $inside,
            'sip-ports' => self::words($form['sipports']),
            'media-ports' => self::words($form['mediaports']),
            'denied-ports' => self::denied($sip),
            'media-hosts' => self::words($form['mediahosts']),
            'peers' => self::peers($form['peers']),
            'tcp-media' => !empty($form['tcpmedia']),
            'outbound' => !empty($form['outbound']),
            'nat' => self::nat($form, $machine),
            'uplinks' => $form['uplinks'] == 'gateways' ? self::uplinks($machine, $inside) : [],
            'fail' => self::loadsDivert($form) ? 'open' : 'closed',
            'freebsd' => [
                'divert-port' => self::DIVERT_PORT,
                'inside-interfaces' => $inside,
                'anchor' => self::ANCHOR,
                'rdr-anchor' => self::ANCHOR,
                'binat-anchor' => self::ANCHOR,
                'reload-lock' => '/tmp/rules.debug',
            ],
            'log' => [
                'level' => $form['loglevel'],
                'call-id' => !empty($form['plaincallid']) ? 'plain' : 'hashed',
                'parties' => !empty($form['logparties']) ? 'plain' : 'hidden',
            ],
            'peers-store' => self::store($form),
            'hep' => self::hep($form),
            'hold-encrypted' => self::line($form, 'holdencrypted') ?: [],
            'blocked' => !empty($form['blocked']) ? ['watch' => true] : [],
            'more' => MoreSettings::text($form['more'] ?? '') ?: [],
        ];
        return array_filter($result, function ($value) {
            return $value !== [];
        });
    }

    /**
     * @param array $settings as make() has them
     * @return string the file: a setting is a line, its value JSON
     */
    public static function text(array $settings)
    {
        $text = "# Written by Services: SIP Pinholes. Changes made here are lost.\n";
        foreach ($settings as $key => $value) {
            if ($key != 'more') {
                $text .= $key . ': ' . json_encode($value, JSON_UNESCAPED_SLASHES | JSON_INVALID_UTF8_SUBSTITUTE) . "\n";
            }
        }
        return $text . (isset($settings['more']) ? self::MORE_BEGINS . $settings['more'] . "\n" : '');
    }

    /**
     * @return array|null what text() was made from
     */
    public static function read($text)
    {
        $parts = explode(self::MORE_BEGINS, (string)$text, 2);
        $result = [];
        foreach (explode("\n", $parts[0]) as $line) {
            if (preg_match('/^([a-z-]+): (.+)$/D', $line, $found)) {
                $result[$found[1]] = json_decode($found[2], true);
            }
        }
        if (isset($parts[1])) {
            $result['more'] = rtrim($parts[1], "\n");
        }
        return $result ?: null;
    }

    /**
     * What the daemon reads beside its file.
     * @param string|null $authority the certificate that the store's is from, as PEM
     * @return array path => text, null for what there is to be none of
     */
    public static function secrets(array $form, $authority)
    {
        $password = function ($field) use ($form) {
            return self::line($form, $field) === '' ? null : self::line($form, $field) . "\n";
        };
        return [
            self::STORE_PASSWORD => $password('storepassword'),
            self::STORE_CA => self::line($form, 'storeca') === '' ? null : $authority,
            self::HEP_PASSWORD => $password('heppassword'),
        ];
    }

    /**
     * What a running daemon has to do to follow.
     * @return string unchanged, reload, restart
     */
    public static function step(?array $before, array $after)
    {
        if ($before === null) {
            return 'restart';
        }
        $changed = array_filter(array_keys($before + $after), function ($key) use ($before, $after) {
            return ($before[$key] ?? null) !== ($after[$key] ?? null);
        });
        if (empty($changed)) {
            return 'unchanged';
        }
        return empty(array_diff($changed, self::RELOADED)) ? 'reload' : 'restart';
    }

    /**
     * Whether the daemon itself loads the rules that hand SIP to it, and its supervisor removes them.
     */
    public static function loadsDivert(array $form)
    {
        return $form['fail'] == 'open' && $form['siprules'] == 'all';
    }

    /**
     * What "pinholed check" said, by the field of the form that it is about.
     * @param string $said lines such as "file:3:5: nat[0].hosts[1]: expected an inside address"
     * @param array $form as make() has it
     * @return array field => messages
     */
    public static function problems($said, array $form)
    {
        $result = [];
        foreach (explode("\n", $said) as $line) {
            if (!preg_match('/^.*?:\d+:\d+: (?:([a-z0-9.\[\]-]+): )?(.+)$/', trim($line), $found)) {
                continue;
            }
            preg_match('/^([a-z-]+)(?:\[(\d+)\]|\.[a-z-]+)?/', $found[1], $key);
            $field = self::FIELDS[$key[0] ?? ''] ?? self::FIELDS[$key[1] ?? ''] ?? 'enabled';
            if (!empty($form['more']) && ($found[1] == '' || in_array($key[1] ?? '', MoreSettings::KEYS, true))) {
                $result['more'][] = ($found[1] == '' ? '' : $found[1] . ': ') . $found[2];
                continue;
            }
            $uuid = [
                'nat' => array_keys($form['nat'] == 'list' ? $form['mappings'] : []),
                'peers' => array_keys($form['peers']),
            ][$key[1] ?? ''][$key[2] ?? 0] ?? null;
            if ($uuid !== null) {
                $field = ($key[1] == 'nat' ? 'mappings.mapping.' : 'peers.peer.') . $uuid . '.' .
                    self::column($found[1]);
            }
            $result[$field][] = $found[2];
        }
        return $result;
    }

    /**
     * @return string the network that an address with so many bits is in
     */
    public static function network($address, $bits)
    {
        $bytes = inet_pton($address);
        foreach (str_split($bytes) as $at => $byte) {
            $kept = min(8, max(0, $bits - 8 * $at));
            $bytes[$at] = chr(ord($byte) & (0xff << (8 - $kept)));
        }
        return inet_ntop($bytes) . '/' . $bits;
    }

    /** The column of a mapping or a peer. */
    private static function column($key)
    {
        preg_match('/\]\.([a-z-]+)/', $key, $found);
        return ['external' => 'external', 'hosts' => 'hosts', 'translation' => 'translation', 'arrives-at' => 'arrivesat',
            'name' => 'name', 'networks' => 'networks'][$found[1] ?? ''] ??
            (strpos($key, 'nat') === 0 ? 'external' : 'networks');
    }

    private static function words($text)
    {
        return array_values(array_filter(array_map('trim', explode(',', (string)$text)), 'strlen'));
    }

    /** One line of text. */
    private static function line(array $form, $field)
    {
        return (string)preg_replace('/[\r\n].*/s', '', (string)($form[$field] ?? ''));
    }

    /** The store in which a pair of firewalls shares its calls. */
    private static function store(array $form)
    {
        $urls = self::words(self::line($form, 'storeurl'));
        return empty($urls) ? [] : array_filter([
            'url' => $urls[0],
            'others' => array_slice($urls, 1),
            'sentinel' => trim(self::line($form, 'storesentinel')),
            'password-file' => self::line($form, 'storepassword') === '' ? null : self::STORE_PASSWORD,
            'tls' => self::line($form, 'storeca') === '' ? null : ['ca-file' => self::STORE_CA],
            'confirm' => self::line($form, 'storeconfirm') ?: 'none',
        ]);
    }

    /** Copies of SIP that is encrypted. */
    private static function hep(array $form)
    {
        $listen = trim(self::line($form, 'heplisten'));
        $from = self::words($form['hepfrom'] ?? '');
        return $listen === '' && empty($from) ? [] : ['listen' => $listen] + array_filter([
            'from' => $from,
            'speaks-for' => self::words($form['hepspeaksfor'] ?? ''),
            'password-file' => self::line($form, 'heppassword') === '' ? null : self::HEP_PASSWORD,
        ]);
    }

    private static function realInterfaces(array $form, array $machine)
    {
        $result = [];
        foreach (self::words($form['interfaces']) as $name) {
            if (!empty($machine['interfaces'][$name]['if'])) {
                $result[] = $machine['interfaces'][$name]['if'];
            }
        }
        return array_values(array_unique($result));
    }

    private static function inside(array $form, array $machine)
    {
        $written = self::words($form['inside']);
        if (!empty($written)) {
            return $written;
        }
        $result = self::PRIVATE_NETWORKS;
        foreach (self::words($form['interfaces']) as $name) {
            foreach ($machine['interfaces'][$name]['networks'] ?? [] as $network) {
                if (!preg_match('/^(10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|f[cd])/i', $network)) {
                    $result[] = $network;
                }
            }
        }
        return array_values(array_unique($result));
    }

    private static function denied(array $sip)
    {
        $denied = Ports::ranges(self::DENIED_PORTS);
        $missing = array_filter($sip, function ($range) use ($denied) {
            return Ports::merged(Ports::common($denied, [$range])) != [$range];
        });
        return empty($missing) ? [] : array_map(function ($range) {
            return Ports::text($range, '-');
        }, Ports::merged(array_merge($denied, $missing)));
    }

    /** A peer without a name is its networks; one with a name is one party. */
    private static function peers(array $peers)
    {
        $result = [];
        foreach ($peers as $peer) {
            $networks = self::words($peer['networks']);
            $result[] = ['name' => (string)$peer['name'], 'networks' => $networks];
        }
        return $result;
    }

    private static function nat(array $form, array $machine)
    {
        if ($form['nat'] == 'rules') {
            return array_map(function ($found) {
                return array_intersect_key($found, array_flip(['external', 'hosts', 'translation']));
            }, $machine['external']);
        }
        $result = [];
        foreach ($form['nat'] == 'list' ? $form['mappings'] : [] as $mapping) {
            $external = trim((string)$mapping['external']);
            $real = $machine['interfaces'][$external]['if'] ?? null;
            $item = [
                'external' => $real !== null ? 'interface:' . $real : $external,
                'hosts' => self::words($mapping['hosts']),
                'translation' => $mapping['translation'],
            ];
            if (!empty($mapping['arrivesat'])) {
                $item['arrives-at'] = $mapping['arrivesat'];
            }
            $result[] = $item;
        }
        return $result;
    }

    /** The gateways of the outside interfaces: none when there is one way out. */
    private static function uplinks(array $machine, array $inside)
    {
        $result = [];
        foreach ($machine['gateways'] as $gateway) {
            $name = $gateway['if'] ?? '';
            if (
                filter_var($gateway['gateway'] ?? '', FILTER_VALIDATE_IP, FILTER_FLAG_IPV4) !== false &&
                ($gateway['ipprotocol'] ?? 'inet') == 'inet' && $name != '' && !in_array($name, $inside, true) &&
                !isset($result[$name])
            ) {
                $result[$name] = ['interface' => $name, 'gateway' => $gateway['gateway']];
            }
        }
        ksort($result);
        return count($result) > 1 ? array_values($result) : [];
    }
}
