{#
 # Copyright (c) 2026 The pinholed authors
 # SPDX-License-Identifier: BSD-2-Clause
 #}

<script>
    $(document).ready(function() {
        /* Text alone: descriptions of rules are whatever somebody wrote. */
        function showFound() {
            ajaxGet('/api/pinholed/settings/found', {}, function(found) {
                const lines = (found.external || []).map(
                    (one) => one.external + ' \u2192 ' + one.hosts.join(', ') + ' (' + one.why + ')'
                ).concat((found.uplinks || []).map(
                    (one) => one.interface + ' \u2192 ' + one.gateway
                ));
                const $place = $('[id="pinholed.found"]').empty();
                if (lines.length === 0) {
                    $place.text("{{ lang._('No port forward of SIP, no 1:1 NAT, one gateway.') }}");
                }
                lines.forEach((line) => $('<div/>').text(line).appendTo($place));
            });
        }

        mapDataToFormUI({'frm_general': '/api/pinholed/settings/get'}).done(function() {
            formatTokenizersUI();
            $('.selectpicker').selectpicker('refresh');
            updateServiceControlUI('pinholed');
            showFound();
        });

        $('#{{ gridMapping['table_id'] }}').UIBootgrid({
            search: '/api/pinholed/settings/search_mapping/',
            get: '/api/pinholed/settings/get_mapping/',
            set: '/api/pinholed/settings/set_mapping/',
            add: '/api/pinholed/settings/add_mapping/',
            del: '/api/pinholed/settings/del_mapping/'
        });
        $('#{{ gridPeer['table_id'] }}').UIBootgrid({
            search: '/api/pinholed/settings/search_peer/',
            get: '/api/pinholed/settings/get_peer/',
            set: '/api/pinholed/settings/set_peer/',
            add: '/api/pinholed/settings/add_peer/',
            del: '/api/pinholed/settings/del_peer/'
        });

        $('#reconfigureAct').SimpleActionButton({
            onPreAction: function() {
                const saved = new $.Deferred();
                saveFormToEndpoint('/api/pinholed/settings/set', 'frm_general', saved.resolve, true, saved.reject);
                return saved;
            },
            onAction: function() {
                updateServiceControlUI('pinholed');
                showFound();
            }
        });
    });
</script>

<ul class="nav nav-tabs" data-tabs="tabs" id="maintabs">
    <li class="active"><a data-toggle="tab" href="#settings">{{ lang._('Settings') }}</a></li>
    <li><a data-toggle="tab" href="#external">{{ lang._('External addresses') }}</a></li>
    <li><a data-toggle="tab" href="#peers">{{ lang._('Peers') }}</a></li>
</ul>
<div class="tab-content content-box">
    <div id="settings" class="tab-pane fade in active">
        {{ partial('layout_partials/base_form', ['fields': general, 'id': 'frm_general']) }}
    </div>
    <div id="external" class="tab-pane fade in">
        <div class="col-md-12"><p>{{ lang._('Read when External addresses says so. With a row, that address stands for these hosts and for no others.') }}</p></div>
        {{ partial('layout_partials/base_bootgrid_table', gridMapping) }}
    </div>
    <div id="peers" class="tab-pane fade in">
        <div class="col-md-12"><p>{{ lang._('Your provider, your SBC. With a row here, calls with nobody else open anything; without one, with everybody.') }}</p></div>
        {{ partial('layout_partials/base_bootgrid_table', gridPeer) }}
    </div>
</div>
{{ partial('layout_partials/base_apply_button', ['data_endpoint': '/api/pinholed/service/reconfigure', 'data_service_widget': 'pinholed']) }}
{{ partial('layout_partials/base_dialog', ['fields': formMapping, 'id': gridMapping['edit_dialog_id'], 'label': lang._('External address')]) }}
{{ partial('layout_partials/base_dialog', ['fields': formPeer, 'id': gridPeer['edit_dialog_id'], 'label': lang._('Peer')]) }}
