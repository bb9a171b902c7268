package setup_test

// turn is one question, what is answered to it, and the wrong answers before that.
type turn struct {
	title  string // of the question, or a part of it
	bad    []refused
	answer string
}

// refused is an answer that is asked for again, and the reason that is given.
type refused struct{ answer, reason string }

// conversation is a whole setup at the terminal.
type conversation struct {
	args  []string
	turns []turn
	want  []string // lines of the file
	told  []string // parts of the notes
}

// badName returns answers that no host name can be; q is a name that can.
func badName(q string) []refused {
	return []refused{
		{"https://" + q, "is not a host name (write the host name alone"},
		{"Example.COM", `has upper-case letters (write example.com)`},
		{"*.example.com", "is a wildcard"},
		{"alice@example.com", "holds an @"},
		{"192.0.2.1", "is an IP address"},
		{"example\x1b[A.com", "holds a control character"},
		{"\xff.com", "is not UTF-8"},
	}
}

var (
	turnDomain = turn{"Domain of the e-mail addresses", append(badName("example.com"), refused{"", "an answer is needed here"}), "example.com"}
	turnID     = turn{"Host name for identity", append(badName("id.example.com"),
		refused{"example.com", `"example.com" is given as -domain already (use each name once)`}, refused{"id.example.com:444", "has a port"}), ""}
	turnSigner = turn{"Host name for identity", append(badName("id.example.com"),
		refused{"example.com", `"example.com" is given as -certifies already`}, refused{"id.example.com:444", "has a port"}), ""}
	turnWebsite = turn{"Address of the website", []refused{
		{"cms:8080", "has no scheme (write http://cms:8080)"}, {"http://cms/blog", "has a path"}, {"ftp://cms", `has the scheme "ftp"`},
	}, "http://cms:8080"}
	turnHosts   = turn{"Further host names", []refused{{"www.example.com,*.example.com", "is a wildcard"}, {"example.com", "is given as -domain already"}}, ""}
	turnEmail   = turn{"Address for the certificate authority", []refused{{"admin", "is not an e-mail address"}}, ""}
	turnKind    = turn{"Kind of directory", []refused{{"0", "is not one of the answers"}, {"15", "is not one of the answers (write a number from 1 to 14)"}, {"openldap", "is not one"}}, ""}
	turnServer  = turn{"LDAP server", []refused{{"ldap.example.com", "is not an absolute URL"}, {"ldapi:///", "is a local socket"}, {"ldaps://ldap/dc=example", "has a path"}}, ""}
	turnRoots   = turn{"Roots of the LDAP server", []refused{{"IN/none.pem", "does not exist"}, {"IN/no-roots.pem", "holds no certificate"}}, ""}
	turnBase    = turn{"Base DN", []refused{{"people", "is not a distinguished name"}}, ""}
	turnBind    = turn{"Bind DN", []refused{{"persona", "is not a distinguished name"}}, ""}
	turnOut     = turn{"File to write", []refused{{"IN/taken.yaml", "exists already, and setup overwrites nothing"}, {"IN/full/persona.yaml", "ldap_password exists already"}}, "IN/conf/persona.yaml"}
	turnPlace   = turn{"File to write", []refused{{"IN/taken.yaml", "exists already, and setup overwrites nothing"}, {"IN", "exists already"}}, "IN/conf/persona.yaml"}
	turnSecret  = turn{"Password of cn=", []refused{{"", "it is empty"}, {"hun\tter2", "a control character"}}, "hunter2"}
	wrongNumber = []refused{{"0", "is not one of the answers"}, {"9", "is not one of the answers (write a number from 1 to"}, {"yes", "is not one of the answers"}}
)

func turnLayout(answer string) turn { return turn{"Where people sign in", wrongNumber, answer} }

func turnCertificates(answer string) turn {
	return turn{"Where TLS certificates come from", wrongNumber, answer}
}

func conversations() map[string]conversation {
	return map[string]conversation{
		"identity on its own host": {
			turns: []turn{turnDomain, turnLayout(""), turnID, turnCertificates(""), turnEmail, turnKind, turnServer, turnRoots, turnBase, turnBind, turnOut, turnSecret},
			want: []string{
				"  - name: id.example.com", "    directory: corp", "    certifies: [example.com]", "    directory: staging", "    email: admin@example.com",
				`  relying_parties: [https://example.com, "https://*.example.com"]`,
				"    preset: openldap", "    urls: [ldaps://ldap.example.com]", `    base_dn: "dc=example,dc=com"`, `    bind_dn: "cn=persona,ou=services,dc=example,dc=com"`, "    bind_password_file: IN/conf/ldap_password",
			},
			told: []string{
				`{"authority":"id.example.com"}`, "ForceType application/json", "default_type application/json;", "chown persona IN/conf/persona.yaml IN/conf/ldap_password\n         install -d -o persona -m 0700 /var/lib/persona\n", "names lead to this machine: id.example.com\n",
				"persona serve -config IN/conf/persona.yaml", "persona check -config IN/conf/persona.yaml", "https://id.example.com/persona/", `remove the line "directory: staging"`, "terms of service of Let's Encrypt",
				"to IN/conf/ldap_password",
			},
		},
		"identity on its own host and the website behind persona": {
			turns: []turn{
				turnDomain, turnLayout("2"), turnID, turnWebsite, turnHosts, turnCertificates("2"), turnEmail,
				{"Kind of directory", nil, "1"},
				{"LDAP server", nil, "ldap://a.example.com, ldap://b.example.com"},
				{"Encryption to the LDAP server", wrongNumber, ""},
				turnRoots, turnBase,
				{"Bind DN", nil, "none"},
				turnPlace,
			},
			want: []string{
				"  - name: example.com", "    authority: id.example.com", "    upstream: http://cms:8080", "    hosts: [www.example.com]", "    preset: activedirectory", "    start_tls: true",
				"    urls: [ldap://a.example.com, ldap://b.example.com]",
			},
			told: []string{"this machine: example.com, www.example.com, id.example.com\n", "searched anonymously"},
		},
		"one host for both": {
			turns: []turn{
				turnDomain, turnLayout("3"),
				{"Address of the website", nil, ""},
				{"Further host names", nil, "none"},
				turnCertificates("3"),
				{"ACME directory of the authority", []refused{{"http://ca.example.com", `has the scheme "http"`}, {"", "an answer is needed"}}, "https://ca.example.com/directory"},
				{"Roots of that authority", []refused{{"IN/no-roots.pem", "holds no certificate"}}, "none"},
				{"Address for the certificate authority", nil, "none"},
				{"Kind of directory", nil, "14"},
				{"LDAP server", nil, "ldap://ldap"},
				{"Encryption to the LDAP server", nil, "2"},
				turnBase, turnBind, turnOut, turnSecret,
			},
			want: []string{"  - name: example.com", "    preset: custom", "    id_attribute: entryUUID    # never changes and is never given to another person", "    upstream: http://127.0.0.1:8080", "    directory: https://ca.example.com/directory", "    insecure_plaintext: true   # passwords cross the network in clear text"},
			told: []string{"share one origin", "terms of service of the authority at https://ca.example.com/directory", "in clear text"},
		},
		"signed for elsewhere": {
			turns: []turn{
				turnDomain, turnLayout("4"),
				{"The host that signs", []refused{{"example.com", "is given as -domain already"}, {"https://id.example.org", "is not a host name"}, {"", "an answer is needed"}}, "id.example.org"},
				turnWebsite, turnHosts, turnCertificates("4"),
				{"File of the TLS certificates", []refused{{"IN/none.pem", "does not exist"}, {"IN", "is not a file"}}, "IN/c.pem"},
				{"File of the TLS key", []refused{{"IN/none.pem", "does not exist"}}, "IN/c.pem"},
				{"File to write", nil, "IN/conf/persona.yaml"},
			},
			want: []string{"    authority: id.example.org       # signs for the domain, elsewhere", "  cert_file: IN/c.pem", "  key_file: IN/c.pem"},
			told: []string{"Let id.example.org sign for the domain; in the configuration of a persona there: certifies: [example.com]"},
		},
		"behind a proxy": {
			turns: []turn{
				turnDomain, turnLayout("1"), turnID, turnCertificates("5"),
				{"Address of what ends TLS", []refused{{"localhost", "is not a network"}, {"10.1.2.3/8", "is an address inside a network"}}, ""},
				{"Address to listen on", []refused{{"8081", "is not an address to listen on"}, {"127.0.0.1:70000", "is not a number from 0 to 65535"}}, ""},
				turnKind, turnServer, turnRoots, turnBase, turnBind, turnOut, turnSecret,
			},
			want: []string{`  mode: "off"                  # a proxy in front of persona ends TLS`, `trusted_proxies: ["127.0.0.1"]`, `  http: "127.0.0.1:8081"`},
			told: []string{"lead to the proxy that ends TLS"},
		},
		"what flags said is not asked": {
			args: []string{
				"-domain", "example.com", "-upstream", "http://cms", "-hosts", "", "-email", "admin@example.com", "-preset", "freeipa", "-directory-url", "ldap://ldap", "-start-tls",
				"-directory-ca-file", "", "-base-dn", "dc=example", "-bind-dn", "cn=persona", "-bind-password-file", "IN/secret", "-out", "IN/conf/persona.yaml",
			},
			turns: []turn{{"Where people sign in", []refused{{"3", "is not one of the answers (write a number from 1 to 2)"}}, "2"}, {"Where TLS certificates come from", []refused{{"4", "from 1 to 3"}}, "2"}},
			want:  []string{"    upstream: http://cms", "    preset: freeipa", "    bind_password_file: IN/secret"},
		},
		"flags of an identity host": {
			args:  []string{"-certifies", "example.com example.net", "-cert-file", "IN/c.pem", "-bind-password-file", "IN/secret"},
			turns: []turn{turnSigner, {"File of the TLS key", nil, "IN/c.pem"}, turnKind, turnServer, turnRoots, turnBase, {"Bind DN", []refused{{"none", "is not a distinguished name"}}, ""}, {"File to write", nil, "IN/conf/persona.yaml"}},
			want:  []string{"  - name: id.example.com", "    certifies: [example.com, example.net] # served elsewhere: their own websites publish that this host is their authority"},
			told:  []string{"present website of example.com", "present website of example.net"},
		},
		"flags of an authority and a proxy": {
			args:  []string{"-domain", "example.com", "-authority", "id.example.org", "-behind-proxy", "private"},
			turns: []turn{{"Address of the website", nil, "none"}, {"File to write", nil, "IN/conf/persona.yaml"}},
			want:  []string{"    authority: id.example.org       # signs for the domain, elsewhere"},
		},
		"flags of an ACME server": {
			args:  []string{"-domain", "example.com", "-authority", "id.example.org", "-acme-directory", "https://ca.example.com/", "-upstream", ""},
			turns: []turn{turnEmail, {"File to write", nil, "IN/conf/persona.yaml"}},
			want:  []string{"    email: admin@example.com"},
		},
	}
}
