<?php

/*
 * Copyright (c) 2026 The pinholed authors
 * SPDX-License-Identifier: BSD-2-Clause
 */

namespace OPNsense\Pinholed;

/**
 * Which external address stands for which inside host, read from the user's own port forwards of SIP and 1:1 mappings.
 */
class ExternalAddresses
{
    /** Hosts that one 1:1 mapping of networks is written out for. */
    private const MOST_HOSTS = 64;

    private $interfaces;
    private $hostsOfAlias;
    private $portsOfAlias;

    /**
     * @param array $interfaces name such as wan => ['if' => em0]
     * @param callable $hostsOfAlias name of an alias => array of addresses
     * @param callable $portsOfAlias name of a port alias or of a service => array of ports and ranges
     */
    public function __construct(array $interfaces, callable $hostsOfAlias, callable $portsOfAlias)
    {
        $this->interfaces = $interfaces;
        $this->hostsOfAlias = $hostsOfAlias;
        $this->portsOfAlias = $portsOfAlias;
    }

    /**
     * @param array $forwards rules as <nat><rule> of the configuration has them
     * @param array $oneToOne rules as the firewall's model has them
     * @param array $sip ranges of ports
     * @return array of ['external' => address or interface:em0, 'hosts' => addresses, 'translation' => pinhole or
     * ruleset, 'why' => what it was read from]
     */
    public function find(array $forwards, array $oneToOne, array $sip)
    {
        $found = [];
        foreach ($oneToOne as $rule) {
            foreach ($this->mapped($rule) as $external => $host) {
                $found[$external . ' ruleset'][$host] = $this->described('1:1 NAT', $rule['description'] ?? '');
            }
        }
        foreach ($forwards as $rule) {
            $external = $this->forwarded($rule, $sip);
            foreach ($external === null ? [] : $this->addresses($rule['target'] ?? '') as $host) {
                if (!isset($found[$external . ' ruleset'][$host])) {
                    $found[$external . ' pinhole'][$host] = $this->described('port forward', $rule['descr'] ?? '');
                }
            }
        }
        $result = [];
        foreach ($found as $key => $hosts) {
            list($external, $translation) = explode(' ', $key);
            $result[] = [
                'external' => $external,
                'hosts' => array_map('strval', array_keys($hosts)),
                'translation' => $translation,
                'why' => implode(', ', array_unique($hosts)),
            ];
        }
        return $result;
    }

    private function described($what, $description)
    {
        return trim((string)$description) == '' ? $what : $what . ' "' . trim((string)$description) . '"';
    }

    /**
     * @return array external address => inside address
     */
    private function mapped($rule)
    {
        if (
            !is_array($rule) || empty($rule['enabled']) || ($rule['type'] ?? 'binat') != 'binat' ||
            !empty($rule['source_not'])
        ) {
            return [];
        }
        list($external, $bits) = explode('/', ($rule['external'] ?? '') . '/32');
        list($source, $sourceBits) = explode('/', ($rule['source_net'] ?? '') . '/32');
        $count = ctype_digit($bits) && $bits <= 32 ? 2 ** (32 - $bits) : 0;
        if (!$this->isIpv4($external) || !$this->isIpv4($source) || $bits !== $sourceBits || $count > self::MOST_HOSTS) {
            return [];
        }
        $result = [];
        for ($host = 0; $host < $count; $host++) {
            $result[long2ip((ip2long($external) & -$count) + $host)] = long2ip((ip2long($source) & -$count) + $host);
        }
        return $result;
    }

    /**
     * @return string|null what a port forward of SIP listens at
     */
    private function forwarded($rule, array $sip)
    {
        if (
            !is_array($rule) || !empty($rule['disabled']) || !empty($rule['nordr']) ||
            ($rule['ipprotocol'] ?? '') == 'inet6' || !empty($rule['destination']['not']) ||
            !in_array(strtolower($rule['protocol'] ?? ''), ['', 'any', 'udp', 'tcp', 'tcp/udp'], true)
        ) {
            return null;
        }
        $port = (string)($rule['destination']['port'] ?? '');
        $ports = Ports::range($port) !== null ? [$port] : ($this->portsOfAlias)($port);
        if ($port !== '' && strtolower($port) != 'any' && empty(Ports::common($sip, Ports::ranges($ports)))) {
            return null;
        }
        $destination = (string)($rule['destination']['network'] ?? $rule['destination']['address'] ?? '');
        if (preg_match('/^([a-z0-9_]+)ip$/D', $destination, $name) && !empty($this->interfaces[$name[1]]['if'])) {
            return 'interface:' . $this->interfaces[$name[1]]['if'];
        }
        $addresses = $this->addresses($destination);
        return count($addresses) == 1 ? $addresses[0] : null;
    }

    /**
     * @return array IPv4 addresses that a field stands for
     */
    private function addresses($text)
    {
        $text = preg_replace('/\/32$/D', '', (string)$text);
        if ($this->isIpv4($text)) {
            return [$text];
        }
        return array_values(array_filter(($this->hostsOfAlias)($text), [$this, 'isIpv4']));
    }

    private function isIpv4($text)
    {
        return filter_var($text, FILTER_VALIDATE_IP, FILTER_FLAG_IPV4) !== false;
    }
}
