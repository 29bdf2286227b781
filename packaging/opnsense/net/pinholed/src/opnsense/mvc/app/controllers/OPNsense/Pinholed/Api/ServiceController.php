<?php

/*
 * Copyright (c) 2026 The pinholed authors
 * SPDX-License-Identifier: BSD-2-Clause
 */

namespace OPNsense\Pinholed\Api;

use OPNsense\Base\ApiMutableServiceControllerBase;
use OPNsense\Core\Backend;

class ServiceController extends ApiMutableServiceControllerBase
{
    protected static $internalServiceClass = '\OPNsense\Pinholed\Pinholed';
    protected static $internalServiceTemplate = 'OPNsense/Pinholed';
    protected static $internalServiceEnabled = 'general.enabled';
    protected static $internalServiceName = 'pinholed';

    /**
     * A running daemon goes on, calls and all; "reload" decides whether it has to start anew.
     */
    protected function reconfigureForceRestart()
    {
        return 0;
    }

    /**
     * The daemon first, then the rules that hand SIP to it: with nobody at the divert port the kernel drops it.
     */
    public function reconfigureAction()
    {
        $result = parent::reconfigureAction();
        if ($result['status'] == 'ok') {
            (new Backend())->configdRun('filter reload skip_alias');
        }
        return $result;
    }
}
