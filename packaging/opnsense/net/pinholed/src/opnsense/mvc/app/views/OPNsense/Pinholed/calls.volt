{#
 # Copyright (c) 2026 The pinholed authors
 # SPDX-License-Identifier: BSD-2-Clause
 #}

<script>
    $(document).ready(function() {
        /* A page of its own, drawn by the daemon: it may do nothing here, and loads nothing. */
        $('.pinholed-ladder').click(function(event) {
            event.preventDefault();
            ajaxGet('/api/pinholed/calls/explain/' + $(this).data('leg-id'), {}, function(answer) {
                const $page = $('<iframe sandbox="allow-scripts" style="border: 0; width: 100%; height: 75vh"/>');
                BootstrapDialog.show({
                    title: "{{ lang._('What happened in this call') }}",
                    message: $page.attr('srcdoc', answer.page || ''),
                    size: BootstrapDialog.SIZE_WIDE
                });
            });
        });
        $('.pinholed-close').click(function() {
            const $button = $(this).prop('disabled', true);
            ajaxCall('/api/pinholed/calls/close/' + $button.data('leg-id'), {}, function() {
                window.location.reload();
            });
        });
        updateServiceControlUI('pinholed');
    });
</script>

<style>
    .pinholed-table td { word-break: break-word; }
    .pinholed-table .pinholed-wide { min-width: 11em; }
    .pinholed-table .pinholed-word { word-break: normal; }
    /* On a telephone a row is a block, so that nothing has to be looked for at the side. */
    @media (max-width: 767px) {
        .pinholed-table thead { display: none; }
        .pinholed-table, .pinholed-table tbody, .pinholed-table tr, .pinholed-table td { display: block; }
        .pinholed-table > tbody > tr > td { border: 0 !important; padding: 2px 10px !important; white-space: normal !important; }
        .pinholed-table tr { padding: 6px 0; border-bottom: 1px solid #ddd; }
        .pinholed-table td[data-label]:before { content: attr(data-label) ": "; font-size: 85%; opacity: .7; }
    }
</style>

<div class="content-box">
    {% if not running %}
    <p style="padding: 1em">{{ lang._('The service does not run.') }}</p>
    {% endif %}
    {% if isCut %}
    <p style="padding: 1em">{{ lang._('These are the 300 calls that began first.') }}</p>
    {% endif %}
    <div class="table-responsive">
        <table class="table table-striped table-condensed pinholed-table">
            <thead>
                <tr>
                    <th>{{ lang._('Caller') }}</th>
                    <th>{{ lang._('Callee') }}</th>
                    <th>{{ lang._('State') }}</th>
                    <th>{{ lang._('Since') }}</th>
                    <th>{{ lang._('Pinholes') }}</th>
                    <th>{{ lang._('Packets to caller') }}</th>
                    <th>{{ lang._('Packets to callee') }}</th>
                    <th></th>
                </tr>
            </thead>
            <tbody>
                {% for one in calls %}
                <tr>
                    <td class="pinholed-wide" data-label="{{ lang._('Caller') }}" title="{{ one['parties'] | e }}">{{ one['from'] | e }}</td>
                    <td class="pinholed-wide" data-label="{{ lang._('Callee') }}">{{ one['to'] | e }}</td>
                    <td class="pinholed-word" data-label="{{ lang._('State') }}">{{ one['state'] | e }}</td>
                    <td data-label="{{ lang._('Since') }}">{{ one['age'] | e }}</td>
                    <td class="pinholed-wide" data-label="{{ lang._('Pinholes') }}">
                        {% if one['pinholes'] is empty %}-{% endif %}
                        {% for pinhole in one['pinholes'] %}
                        <div>{{ pinhole | e }}</div>
                        {% endfor %}
                    </td>
                    <td data-label="{{ lang._('Packets to caller') }}">
                        {% if one['towards']['caller'] == '' %}{{ lang._('not told') }}{% else %}{{ one['towards']['caller'] | e }}{% endif %}
                        {% if one['silent']['caller'] is defined %}
                        <span class="label label-danger" title="{{ one['silent']['caller'] | e }}">{{ lang._('hears nothing') }}</span>
                        {% endif %}
                    </td>
                    <td data-label="{{ lang._('Packets to callee') }}">
                        {% if one['towards']['callee'] == '' %}{{ lang._('not told') }}{% else %}{{ one['towards']['callee'] | e }}{% endif %}
                        {% if one['silent']['callee'] is defined %}
                        <span class="label label-danger" title="{{ one['silent']['callee'] | e }}">{{ lang._('hears nothing') }}</span>
                        {% endif %}
                    </td>
                    <td style="white-space: nowrap">
                        <button type="button" class="btn btn-default btn-xs pinholed-ladder" data-leg-id="{{ one['legId'] | e }}" title="{{ lang._('What happened') }}"><i class="fa fa-list-alt fa-fw"></i></button>
                        {% if not one['ended'] %}
                        <button type="button" class="btn btn-default btn-xs pinholed-close" data-leg-id="{{ one['legId'] | e }}" title="{{ lang._('Close its pinholes') }}"><i class="fa fa-times fa-fw"></i></button>
                        {% endif %}
                    </td>
                </tr>
                {% endfor %}
                {% if running and calls is empty %}
                <tr><td colspan="8">{{ lang._('No calls.') }}</td></tr>
                {% endif %}
            </tbody>
        </table>
    </div>
</div>
{% if refused is not empty %}
<div class="content-box" style="margin-top: 1em">
    <div class="table-responsive">
        <table class="table table-striped table-condensed pinholed-table">
            <thead>
                <tr>
                    <th>{{ lang._('Refused') }}</th>
                    <th>{{ lang._('From') }}</th>
                    <th>{{ lang._('To') }}</th>
                    <th>{{ lang._('Why, and what to do') }}</th>
                </tr>
            </thead>
            <tbody>
                {% for one in refused %}
                <tr>
                    <td class="pinholed-wide" data-label="{{ lang._('Refused') }}">
                        <a href="#" class="pinholed-ladder" data-leg-id="{{ one['legId'] | e }}">{{ one['reason'] | e }}</a>
                        <div><small>{{ one['at'] | e }}</small></div>
                    </td>
                    <td class="pinholed-wide" data-label="{{ lang._('From') }}">{{ one['from'] | e }}</td>
                    <td class="pinholed-wide" data-label="{{ lang._('To') }}">{{ one['to'] | e }}</td>
                    <td class="pinholed-wide" data-label="{{ lang._('Why') }}">{{ one['why'] | e }}<div><small>{{ one['advice'] | e }}</small></div></td>
                </tr>
                {% endfor %}
            </tbody>
        </table>
    </div>
</div>
{% endif %}
