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

<div class="content-box">
    {% if not running %}
    <p style="padding: 1em">{{ lang._('The service does not run.') }}</p>
    {% endif %}
    <div class="table-responsive">
        <table class="table table-striped table-condensed">
            <thead>
                <tr>
                    <th>{{ lang._('From') }}</th>
                    <th>{{ lang._('To') }}</th>
                    <th>{{ lang._('State') }}</th>
                    <th>{{ lang._('Since') }}</th>
                    <th>{{ lang._('Pinholes') }}</th>
                    <th></th>
                </tr>
            </thead>
            <tbody>
                {% for call in calls %}
                <tr>
                    <td title="{{ call['parties'] | e }}" style="min-width: 11em; word-break: break-word">{{ call['from'] | e }}</td>
                    <td style="min-width: 11em; word-break: break-word">{{ call['to'] | e }}</td>
                    <td>{{ call['state'] | e }}</td>
                    <td>{{ call['age'] | e }}</td>
                    <td style="min-width: 13em">
                        {% for pinhole in call['pinholes'] %}
                        <div>{{ pinhole | e }}</div>
                        {% endfor %}
                    </td>
                    <td style="white-space: nowrap">
                        <button type="button" class="btn btn-default btn-xs pinholed-ladder" data-leg-id="{{ call['legId'] | e }}" title="{{ lang._('What happened') }}"><i class="fa fa-list-alt fa-fw"></i></button>
                        {% if not call['ended'] %}
                        <button type="button" class="btn btn-default btn-xs pinholed-close" data-leg-id="{{ call['legId'] | e }}" title="{{ lang._('Close its pinholes') }}"><i class="fa fa-times fa-fw"></i></button>
                        {% endif %}
                    </td>
                </tr>
                {% endfor %}
                {% if running and calls is empty %}
                <tr><td colspan="6">{{ lang._('No calls.') }}</td></tr>
                {% endif %}
            </tbody>
        </table>
    </div>
</div>
{% if refused is not empty %}
<div class="content-box" style="margin-top: 1em">
    <div class="table-responsive">
        <table class="table table-striped table-condensed">
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
                    <td style="min-width: 13em">
                        <a href="#" class="pinholed-ladder" data-leg-id="{{ one['legId'] | e }}">{{ one['reason'] | e }}</a>
                        <div><small>{{ one['at'] | e }}</small></div>
                    </td>
                    <td style="min-width: 11em; word-break: break-word">{{ one['from'] | e }}</td>
                    <td style="min-width: 11em; word-break: break-word">{{ one['to'] | e }}</td>
                    <td style="min-width: 16em">{{ one['why'] | e }}<div><small>{{ one['advice'] | e }}</small></div></td>
                </tr>
                {% endfor %}
            </tbody>
        </table>
    </div>
</div>
{% endif %}
