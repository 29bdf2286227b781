<?php

/*
 * Copyright (c) 2026 The pinholed authors
 * SPDX-License-Identifier: BSD-2-Clause
 */

namespace OPNsense\Pinholed\Api;

use OPNsense\Base\ApiMutableModelControllerBase;
use OPNsense\Core\Backend;

class SettingsController extends ApiMutableModelControllerBase
{
    protected static $internalModelName = 'pinholed';
    protected static $internalModelClass = '\OPNsense\Pinholed\Pinholed';

    protected function getModelNodes()
    {
        return ['general' => $this->getModel()->general->getNodes()];
    }

    /**
     * What the rules of this firewall say about external addresses and uplinks.
     */
    public function foundAction()
    {
        return json_decode((new Backend())->configdRun('pinholed found'), true) ?? [];
    }

    public function searchMappingAction()
    {
        return $this->searchBase('mappings.mapping');
    }

    public function getMappingAction($uuid = null)
    {
        return $this->getBase('mapping', 'mappings.mapping', $uuid);
    }

    public function addMappingAction()
    {
        return $this->addBase('mapping', 'mappings.mapping');
    }

    public function setMappingAction($uuid)
    {
        return $this->setBase('mapping', 'mappings.mapping', $uuid);
    }

    public function delMappingAction($uuid)
    {
        return $this->delBase('mappings.mapping', $uuid);
    }

    public function searchPeerAction()
    {
        return $this->searchBase('peers.peer');
    }

    public function getPeerAction($uuid = null)
    {
        return $this->getBase('peer', 'peers.peer', $uuid);
    }

    public function addPeerAction()
    {
        return $this->addBase('peer', 'peers.peer');
    }

    public function setPeerAction($uuid)
    {
        return $this->setBase('peer', 'peers.peer', $uuid);
    }

    public function delPeerAction($uuid)
    {
        return $this->delBase('peers.peer', $uuid);
    }
}
