{#
 # Copyright (c) 2026 The pinholed authors
 # SPDX-License-Identifier: BSD-2-Clause
 #}

<script>
    $(document).ready(function() {
        $('.pinholed-ladder').click(function(event) {
            event.preventDefault();
            ajaxGet('/api/pinholed/calls/explain/' + $(this).data('call'), {}, function(answer) {
                BootstrapDialog.show({
                    title: "{{ lang._('What happened in this call') }}",
                    message: $('<pre style="overflow-x: auto; white-space: pre"/>').text(answer.text || ''),
                    size: BootstrapDialog.SIZE_WIDE
                });
            });
        });
        $('.pinholed-close').click(function() {
            const $button = $(this).prop('disabled', true);
            ajaxCall('/api/pinholed/calls/close/' + $button.data('call'), {}, function() {
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
                    <td title="{{ call['parties'] | e }}" style="word-break: break-word">{{ call['from'] | e }}</td>
                    <td style="word-break: break-word">{{ call['to'] | e }}</td>
                    <td>{{ call['state'] | e }}</td>
                    <td>{{ call['age'] | e }}</td>
                    <td>
                        {% for pinhole in call['pinholes'] %}
                        <div>{{ pinhole | e }}</div>
                        {% endfor %}
                    </td>
                    <td style="white-space: nowrap">
                        <button type="button" class="btn btn-default btn-xs pinholed-ladder" data-call="{{ call['call'] | e }}" title="{{ lang._('What happened') }}"><i class="fa fa-list-alt fa-fw"></i></button>
                        {% if not call['ended'] %}
                        <button type="button" class="btn btn-default btn-xs pinholed-close" data-call="{{ call['call'] | e }}" title="{{ lang._('Close its pinholes') }}"><i class="fa fa-times fa-fw"></i></button>
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
{% if refusals is not empty %}
<div class="content-box" style="margin-top: 1em">
    <div class="table-responsive">
        <table class="table table-striped table-condensed">
            <thead>
                <tr><th>{{ lang._('Refused since the start, by reason') }}</th><th>{{ lang._('Streams') }}</th></tr>
            </thead>
            <tbody>
                {% for refusal in refusals %}
                <tr><td>{{ refusal['reason'] | e }}</td><td>{{ refusal['count'] | e }}</td></tr>
                {% endfor %}
            </tbody>
        </table>
    </div>
</div>
{% endif %}
