package cli

// whatIsMissing tells on one screen how to give a configuration. The tests load
// both of its examples.
const whatIsMissing = `persona has to know the domain that it speaks for, where the website is, and which directory knows the people.

By file, /etc/persona/persona.yaml or another with -config ("persona setup" writes one with comments):

    domains:
      - name: example.com
        upstream: http://127.0.0.1:8080
        directory: corp
    directories:
      corp:
        preset: openldap
        urls: [ldaps://ldap.example.com]
        bind_dn: cn=persona,dc=example,dc=com
        bind_password_file: /run/secrets/ldap
        base_dn: dc=example,dc=com

By environment, for one domain:

    PERSONA_DOMAIN=example.com
    PERSONA_UPSTREAM=http://127.0.0.1:8080
    PERSONA_LDAP_PRESET=openldap
    PERSONA_LDAP_URLS=ldaps://ldap.example.com
    PERSONA_LDAP_BIND_DN=cn=persona,dc=example,dc=com
    PERSONA_LDAP_BIND_PASSWORD_FILE=/run/secrets/ldap
    PERSONA_LDAP_BASE_DN=dc=example,dc=com

It listens on ports 80 and 443, keeps its keys in /var/lib/persona, and gets TLS certificates from
Let's Encrypt, to whose terms of service running it agrees. Each of these can be configured.`
