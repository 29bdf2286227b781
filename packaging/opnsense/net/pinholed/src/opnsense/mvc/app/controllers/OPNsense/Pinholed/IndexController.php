<?php

/*
 * Copyright (c) 2026 The pinholed authors
 * SPDX-License-Identifier: BSD-2-Clause
 */

namespace OPNsense\Pinholed;

class IndexController extends \OPNsense\Base\IndexController
{
    public function indexAction()
    {
        $this->view->general = $this->getForm('general');
        foreach (['mapping', 'peer'] as $name) {
            $dialog = 'dialog' . ucfirst($name);
            $this->view->{'form' . ucfirst($name)} = $this->getForm($dialog);
            $this->view->{'grid' . ucfirst($name)} = $this->getFormGrid($dialog);
        }
        $this->view->pick('OPNsense/Pinholed/index');
    }
}
