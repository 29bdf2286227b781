<?php

/*
 * Copyright (c) 2026 The pinholed authors
 * SPDX-License-Identifier: BSD-2-Clause
 */

namespace OPNsense\Pinholed;

use OPNsense\Core\Backend;

class CallsController extends \OPNsense\Base\IndexController
{
    public function indexAction()
    {
        $backend = new Backend();
        $calls = json_decode($backend->configdRun('pinholed calls'), true);
        $refused = json_decode($backend->configdRun('pinholed refused'), true);
        $this->view->running = is_array($calls['calls'] ?? null);
        $rows = CallTable::rows($calls['calls'] ?? []);
        $this->view->calls = $rows;
        $this->view->isCut = count($rows) >= CallTable::MOST;
        $this->view->refused = CallTable::refused($refused['refused'] ?? []);
        $this->view->pick('OPNsense/Pinholed/calls');
    }
}
