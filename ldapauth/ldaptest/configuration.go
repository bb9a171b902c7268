package ldaptest

import (
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"
)

// schema adds attributes that mail systems bring along; the OIDs are from the
// arc kept for examples.
const schema = `
attributetype ( 2.999.1.1 NAME 'proxyAddresses' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 2.999.1.2 NAME 'mailAlternateAddress' EQUALITY caseIgnoreIA5Match SYNTAX 1.3.6.1.4.1.1466.115.121.1.26 )
objectclass ( 2.999.2.1 NAME 'examplePerson' SUP top AUXILIARY MAY ( proxyAddresses $ mailAlternateAddress ) )
`

// The password policy is what slapd needs for must-change, expiry and
// lock-out; memberof keeps groups on the person.
var configurationText = template.Must(template.New("slapd.conf").Parse(`
include {{.Schemas}}/core.schema
include {{.Schemas}}/cosine.schema
include {{.Schemas}}/inetorgperson.schema
include {{.Schemas}}/nis.schema
include {{.Schemas}}/misc.schema
include example.schema
pidfile slapd.pid
{{if .Modules}}modulepath {{.Modules}}
moduleload back_mdb
moduleload memberof
moduleload ppolicy
{{end -}}
threads 4
idletimeout {{.Idle}}
{{if .TLS}}TLSCACertificateFile ca.pem
TLSCertificateFile server.pem
TLSCertificateKeyFile server.key
TLSVerifyClient never
{{end -}}
{{if .RequireTLS}}security ssf=128
{{end -}}
database mdb
suffix "{{.BaseDN}}"
rootdn "{{.RootDN}}"
rootpw {{.RootPassword}}
directory db
maxsize 268435456
dbnosync
index objectClass,uid,cn,mail,mailLocalAddress,mailAlternateAddress,proxyAddresses,member,memberOf,entryUUID eq
access to attrs=userPassword by self =xw by anonymous auth by * none
access to * by dn.exact="{{.ServiceDN}}" read by * none
overlay memberof
overlay ppolicy
ppolicy_default "cn=default,ou=policies,{{.BaseDN}}"
{{if .ReportLockout}}ppolicy_use_lockout
{{end -}}
`))

func (o Options) configuration() (string, error) {
	schemas, err := firstDir("/etc/ldap/schema", "/etc/openldap/schema", "/usr/local/etc/openldap/schema")
	if err != nil {
		return "", err
	}
	modules, _ := firstDir("/usr/lib/ldap", "/usr/lib64/openldap", "/usr/lib/openldap") // absent: linked in
	var text strings.Builder
	err = configurationText.Execute(&text, map[string]any{
		"Schemas": schemas, "Modules": modules, "Idle": int(o.Idle / time.Second), "TLS": !o.NoTLS,
		"RequireTLS": o.RequireTLS, "ReportLockout": o.ReportLockout, "BaseDN": BaseDN, "ServiceDN": serviceDN,
		"RootDN": rootDN, "RootPassword": rootPassword,
	})
	return text.String(), err
}

func firstDir(paths ...string) (string, error) {
	for _, path := range paths {
		if info, err := os.Stat(filepath.Clean(path)); err == nil && info.IsDir() {
			return path, nil
		}
	}
	return "", &missing{"slapd's schema files are not installed", "apt-get install slapd"}
}
