/*
 * Copyright (c) 2026 The pinholed authors
 * SPDX-License-Identifier: BSD-2-Clause
 */

export default class Pinholed extends BaseTableWidget {
    constructor() {
        super();
        this.tickTimeout = 10;
    }

    getMarkup() {
        const $container = $('<div></div>');
        $container.append(this.createTable('pinholed-table', { headerPosition: 'left' }));
        return $container;
    }

    async onWidgetTick() {
        const status = await this.ajaxCall('/api/pinholed/calls/status');
        const text = (value) => $('<span/>').text(value ?? '').html();
        if (status.calls === undefined) {
            super.updateTable('pinholed-table', [[this.translations.state, text(this.translations.stopped)]]);
            return;
        }
        super.updateTable('pinholed-table', [
            [this.translations.calls, text(status.calls)],
            [this.translations.pinholes, text(status.pinholes)],
            [
                this.translations.silent,
                `<span class="${status.callsWithoutAudio > 0 ? 'text-danger' : ''}">${text(status.callsWithoutAudio)}</span>`
            ],
            [
                this.translations.alarms,
                status.alarms.length === 0 ? text(this.translations.none) : status.alarms.map(
                    (alarm) => `<div class="text-danger">${text(alarm.text)}</div>`
                ).join('')
            ]
        ]);
    }
}
