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

    public function explainAction($legId)
    {
        return $this->named($legId, function ($legId) {
            return ['page' => (new Backend())->configdpRun('pinholed explain', [$legId])];
        });
    }

    public function closeAction($legId)
    {
        if (!$this->request->isPost()) {
            return ['status' => 'failed'];
        }
        return $this->named($legId, function ($legId) {
            return ['status' => 'ok', 'text' => trim((new Backend())->configdpRun('pinholed close', [$legId]))];
        });
    }

    /** A leg is named by 16 digits; a Call-ID, which strangers choose, goes to no command line. */
    private function named($legId, $answer)
    {
        return preg_match('/^[0-9a-f]{16}$/D', (string)$legId) ? $answer($legId) : ['status' => 'failed'];
    }
}
