<?php

/*
 * Puts fields into the plugin's model and prints what its validation says, as JSON: field => messages. Arguments: fields
 * of the general section as JSON, and what the daemon's own check would answer.
 */

require_once 'config.inc';

\OPNsense\Core\Backend::$answers['pinholed check'] = $argv[2] ?? '';
$model = new \OPNsense\Pinholed\Pinholed();
foreach (json_decode($argv[1], true) as $name => $value) {
    $model->general->$name = $value;
}
$result = [];
foreach ($model->performValidation(true) as $message) {
    $result[$message->getField()][] = $message->getMessage();
}
echo json_encode((object)$result);
