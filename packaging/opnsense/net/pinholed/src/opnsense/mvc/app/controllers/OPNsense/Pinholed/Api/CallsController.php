<?php

/*
 * Copyright (c) 2026 The pinholed authors
 * SPDX-License-Identifier: BSD-2-Clause
 */

namespace OPNsense\Pinholed\Api;

use OPNsense\Base\ApiControllerBase;
use OPNsense\Core\Backend;
use OPNsense\Pinholed\CallTable;

class CallsController extends ApiControllerBase
{
    public function searchAction()
    {
        $answer = json_decode((new Backend())->configdRun('pinholed calls'), true);
        return ['rows' => CallTable::rows($answer['calls'] ?? []), 'running' => is_array($answer['calls'] ?? null)];
    }

    public function statusAction()
    {
        return json_decode((new Backend())->configdRun('pinholed status_json'), true) ?? [];
    }

    public function explainAction($call)
    {
        return $this->named($call, function ($call) {
            return ['page' => (new Backend())->configdpRun('pinholed explain', [$call])];
        });
    }

    public function closeAction($call)
    {
        if (!$this->request->isPost()) {
            return ['status' => 'failed'];
        }
        return $this->named($call, function ($call) {
            return ['status' => 'ok', 'text' => trim((new Backend())->configdpRun('pinholed close', [$call]))];
        });
    }

    /** A leg is named by 16 digits; a Call-ID, which strangers choose, goes to no command line. */
    private function named($call, $answer)
    {
        return preg_match('/^[0-9a-f]{16}$/D', (string)$call) ? $answer($call) : ['status' => 'failed'];
    }
}
