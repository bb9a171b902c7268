package ldaptest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"
	"time"
	"unicode/utf16"
)

const (
	// ADBaseDN is the suffix of the company's Active Directory, whose NetBIOS
	// name is ADX and whose DNS name is ad.example.test.
	ADBaseDN = "DC=ad,DC=example,DC=test"

	adAdministrator = "CN=Administrator,CN=Users," + ADBaseDN
	adPassword      = "Passw0rd!test"
)

var sambaConfiguration = template.Must(template.New("smb.conf").Parse(`[global]
workgroup = ADX
realm = AD.EXAMPLE.TEST
netbios name = DC1
server role = active directory domain controller
server services = ldap
interfaces = lo
bind interfaces only = yes
private dir = {{.}}/ad/private
state directory = {{.}}/ad/state
cache directory = {{.}}/ad/cache
lock directory = {{.}}/ad
pid directory = {{.}}/ad/run
ncalrpc dir = {{.}}/ad/run/ncalrpc
winbindd socket directory = {{.}}/ad/run/winbindd
ntp signd socket directory = {{.}}/ad/run/ntp
log file = {{.}}/log.samba
ldap server require strong auth = no
tls enabled = yes
tls keyfile = {{.}}/server.key
tls certfile = {{.}}/server.pem
tls cafile = {{.}}/ca.pem
`))

// samba are the programs of its packages.
type samba struct{ server, tool, python string }

// StartSamba starts a Samba domain controller whose files lie in dir, an empty
// directory. The caller calls Stop. Samba's LDAP ports are 389 and 636 and
// nothing else, so it runs in a network of its own, for which it takes root.
func StartSamba(dir string) (*Server, error) {
	var samba samba
	for _, program := range []struct {
		path  *string
		names []string
	}{
		{&samba.server, []string{"samba", "/usr/sbin/samba"}},
		{&samba.tool, []string{"samba-tool"}},
		{&samba.python, []string{"/usr/bin/python3"}}, // another one in PATH has no module samba
	} {
		var err error
		if *program.path, err = lookUp("samba samba-ad-dc samba-ad-provision samba-dsdb-modules python3-samba", program.names...); err != nil {
			return nil, err
		}
	}
	if os.Geteuid() != 0 {
		return nil, &missing{"Samba needs a network of its own", "run the test as root"}
	}
	s := &Server{
		Kind: SambaAD, BindDN: "CN=persona,CN=Users," + ADBaseDN, BindPassword: servicePassword, BaseDN: ADBaseDN,
		dir: dir, rootDN: adAdministrator, rootPassword: adPassword,
		fatal: func(err error) { panic(err) },
	}
	s.launch = func() error { return s.runSamba(samba.server) }
	var err error
	if s.RootsPEM, err = writeCertificates(dir); err != nil {
		return nil, err
	}
	if err := runToEnd(dir, samba.tool, "domain", "provision", "--server-role=dc", "--realm=AD.EXAMPLE.TEST", "--domain=ADX",
		"--adminpass="+adPassword, "--dns-backend=NONE", "--targetdir="+filepath.Join(dir, "ad"),
		"--host-name=dc1", "--host-ip=127.0.0.1", "--option=interfaces=lo", "--option=bind interfaces only=yes"); err != nil {
		return nil, err
	}
	var text strings.Builder
	if err := sambaConfiguration.Execute(&text, dir); err != nil {
		return nil, err
	}
	for _, folder := range []string{"run", "cache", "state"} {
		if err := os.MkdirAll(filepath.Join(dir, "ad", folder), 0o700); err != nil {
			return nil, fmt.Errorf("making the server's directories: %w", err)
		}
	}
	if err := writeFiles(dir, map[string]string{"smb.conf": text.String()}); err != nil {
		return nil, err
	}
	if err := s.launchOnFreePorts(); err != nil {
		return nil, err
	}
	if err := s.fillAD(samba); err != nil {
		err = s.process.failed(err)
		s.Stop()
		return nil, err
	}
	return s, nil
}

// runSamba starts the server in a network of its own, and forwards our ports to
// those in there.
func (s *Server) runSamba(program string) error {
	p, err := startProcess(s.dir, true, program, "--foreground", "--no-process-group", "--debug-stdout", "-M", "single", "-s", filepath.Join(s.dir, "smb.conf"))
	if err != nil {
		return err
	}
	for port, inside := range map[int]int{s.port: 389, s.tls: 636} {
		if err := p.forward(port, "127.0.0.1:"+strconv.Itoa(inside)); err != nil {
			p.stop()
			return err
		}
	}
	if err := p.waitReady(s.port); err != nil {
		p.stop()
		return err
	}
	s.process = p
	return nil
}

// quotedUTF16 is how Active Directory takes a password.
func quotedUTF16(password string) string {
	var b strings.Builder
	for _, unit := range utf16.Encode([]rune(`"` + password + `"`)) {
		b.WriteByte(byte(unit))
		b.WriteByte(byte(unit >> 8))
	}
	return b.String()
}

// interval is a length of time as Active Directory writes it: negative, in
// units of 100 ns.
func interval(d time.Duration) string { return strconv.FormatInt(-int64(d/100), 10) }

// fileTime is a point in time as Active Directory writes it: in units of 100 ns
// since 1601.
func fileTime(t time.Time) string {
	const epoch = 11_644_473_600 // seconds from 1601 to 1970
	return strconv.FormatInt((t.Unix()+epoch)*10_000_000, 10)
}
