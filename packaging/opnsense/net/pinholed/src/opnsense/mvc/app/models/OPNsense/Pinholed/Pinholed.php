<?php

/*
 * Copyright (c) 2026 The pinholed authors
 * SPDX-License-Identifier: BSD-2-Clause
 */

namespace OPNsense\Pinholed;

use OPNsense\Base\BaseModel;
use OPNsense\Base\Messages\Message;
use OPNsense\Core\Backend;

class Pinholed extends BaseModel
{
    /**
     * @return array the fields as text, with 'mappings' and 'peers': uuid => fields
     */
    public function form()
    {
        $result = $this->texts($this->general);
        $result['mappings'] = $result['peers'] = [];
        foreach ($this->mappings->mapping->iterateItems() as $uuid => $node) {
            $result['mappings'][$uuid] = $this->texts($node);
        }
        foreach ($this->peers->peer->iterateItems() as $uuid => $node) {
            $result['peers'][$uuid] = $this->texts($node);
        }
        return $result;
    }

    private function texts($container)
    {
        $result = [];
        foreach ($container->iterateItems() as $name => $node) {
            $text = (string)$node;
            $result[$name] = $node instanceof \OPNsense\Base\FieldTypes\BooleanField ? !empty($text) : $text;
        }
        return $result;
    }

    /**
     * The daemon itself says what is wrong with what fits each field by itself, at the field.
     */
    public function performValidation($validateFullModel = false)
    {
        $messages = parent::performValidation($validateFullModel);
        if (count($messages) > 0 || (string)$this->general->enabled != '1') {
            return $messages;
        }
        $form = $this->form();
        foreach (MoreSettings::faults($form['more']) as $text) {
            $messages->appendMessage(new Message($text, 'general.more'));
        }
        foreach (['storepassword', 'heppassword'] as $field) {
            /* not for a command line, and of no concern to what is asked */
            $form[$field] = $form[$field] === '' ? '' : 'x';
        }
        $said = (new Backend())->configdpRun('pinholed check', [base64_encode(json_encode($form))]);
        foreach (DaemonSettings::problems((string)$said, $form) as $field => $texts) {
            foreach ($texts as $text) {
                if (strpos($field, '.') !== false) {
                    /* at the row for its dialog, and beside the form that is saved with the rows as they are */
                    $messages->appendMessage(new Message($text, $field));
                    $field = strpos($field, 'mappings.') === 0 ? 'nat' : 'enabled';
                }
                $messages->appendMessage(new Message($text, 'general.' . $field));
            }
        }
        return $messages;
    }
}
