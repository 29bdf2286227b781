{% if not helpers.empty('OPNsense.pinholed.general.enabled') %}
pinholed_enable="YES"
pinholed_setup="/usr/local/opnsense/scripts/pinholed/setup.sh"
{% if OPNsense.pinholed.general.fail == 'open' and OPNsense.pinholed.general.siprules == 'follow' %}
pinholed_follows="YES"
{% endif %}
{% else %}
pinholed_enable="NO"
{% endif %}
