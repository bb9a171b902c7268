//go:build linux

package applications_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"persona-sidecar/deploy/relying-party/relyingpartytest"
	"persona-sidecar/ldapauth/ldaptest"
)

// stopTime is how long a server may take to end after SIGTERM.
const stopTime = 20 * time.Second

var long = flag.Bool("long", false, "also start the applications that make test does not install")

// requires skips the test where a file of a Debian package is missing, or fails it where CI=true. Applications that
// `make test` does not install are for -long alone.
func requires(t *testing.T, installed bool, files map[string]string) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a real application")
	}
	if !installed && !*long {
		t.Skip("takes long: make test-cms runs it")
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if found, _ := filepath.Glob(name); len(found) > 0 {
			continue
		}
		reason := fmt.Sprintf("no %s here (apt-get install %s)", name, files[name])
		if os.Getenv("CI") == "true" {
			t.Fatal(reason)
		}
		t.Skip(reason)
	}
}

// machine runs servers in one folder, as a user without rights where the test has them all: PHP-FPM and MariaDB
// refuse to run as root.
type machine struct {
	t          *testing.T
	folder     string
	credential *syscall.Credential // nil: the test's own
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	folder, err := os.MkdirTemp("", "persona-applications-") // other users cannot enter t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	m := &machine{t: t, folder: folder}
	if os.Geteuid() == 0 {
		account, err := user.Lookup("www-data")
		if err != nil {
			t.Fatal(err)
		}
		uid, _ := strconv.ParseUint(account.Uid, 10, 32)
		gid, _ := strconv.ParseUint(account.Gid, 10, 32)
		m.credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	m.own(folder)
	return m
}

// own gives a file or folder to the servers' user.
func (m *machine) own(path string) {
	m.t.Helper()
	if m.credential == nil {
		return
	}
	if err := os.Chown(path, int(m.credential.Uid), int(m.credential.Gid)); err != nil {
		m.t.Fatal(err)
	}
}

// path names a file of the folder.
func (m *machine) path(name string) string { return filepath.Join(m.folder, name) }

// write writes a file of the folder, and what folders it needs. They belong to the servers.
func (m *machine) write(name, text string) {
	m.t.Helper()
	m.mkdir(filepath.Dir(name))
	if err := os.WriteFile(m.path(name), []byte(text), 0o600); err != nil {
		m.t.Fatal(err)
	}
	m.own(m.path(name))
}

func (m *machine) mkdir(names ...string) {
	m.t.Helper()
	for _, name := range names {
		folder := m.folder
		for part := range strings.SplitSeq(filepath.Clean(name), "/") {
			folder = filepath.Join(folder, part)
			if err := os.Mkdir(folder, 0o700); err == nil {
				m.own(folder)
			} else if !os.IsExist(err) {
				m.t.Fatal(err)
			}
		}
	}
}

// link makes links in a folder to what a pattern finds.
func (m *machine) link(folder, pattern string) {
	m.t.Helper()
	m.mkdir(folder)
	found, _ := filepath.Glob(pattern)
	for _, target := range found {
		if err := os.Symlink(target, m.path(filepath.Join(folder, filepath.Base(target)))); err != nil && !os.IsExist(err) {
			m.t.Fatal(err)
		}
	}
}

// replace makes a file, which may be a link, a link to another.
func (m *machine) replace(name, target string) {
	m.t.Helper()
	_ = os.Remove(m.path(name))
	if err := os.Symlink(m.path(target), m.path(name)); err != nil {
		m.t.Fatal(err)
	}
}

// copyFiles copies the files of a folder.
func (m *machine) copyFiles(from, to string) {
	m.t.Helper()
	found, _ := filepath.Glob(filepath.Join(from, "*"))
	for _, name := range found {
		text, err := os.ReadFile(name)
		if err != nil {
			m.t.Fatal(err)
		}
		m.write(filepath.Join(to, filepath.Base(name)), string(text))
	}
}

func (m *machine) command(program string, arguments ...string) *exec.Cmd {
	command := exec.Command(program, arguments...)
	command.Dir = m.folder
	command.SysProcAttr = &syscall.SysProcAttr{Credential: m.credential}
	return command
}

// do runs a program that must succeed.
func (m *machine) do(program string, arguments ...string) {
	m.t.Helper()
	if out, err := m.command(program, arguments...).CombinedOutput(); err != nil {
		m.t.Fatalf("%s %s: %v\n%s", program, strings.Join(arguments, " "), err, out)
	}
}

// serve runs a server until the test ends, and returns when it listens at an address.
func (m *machine) serve(network, address, program string, arguments ...string) {
	m.t.Helper()
	// PHP-FPM opens its error output by a name, and a pipe of another user's could not be opened.
	logged := filepath.Base(program) + ".log"
	m.write(logged, "")
	output, err := os.OpenFile(m.path(logged), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		m.t.Fatal(err)
	}
	defer output.Close()
	command := m.command(program, arguments...)
	command.Stdout, command.Stderr = output, output
	log := func() string {
		text, _ := os.ReadFile(m.path(logged))
		return string(text)
	}
	ended := run(m.t, command, log)
	ldaptest.Eventually(m.t, program+" listens", func() bool {
		select {
		case <-ended:
			m.t.Fatalf("%s ended:\n%s", program, log())
		default:
		}
		return listens(network, address)
	})
}

// run runs a program until the test ends, and returns a channel that is closed when it has ended.
func run(t *testing.T, command *exec.Cmd, log func() string) <-chan struct{} {
	t.Helper()
	if command.SysProcAttr == nil {
		command.SysProcAttr = &syscall.SysProcAttr{}
	}
	command.SysProcAttr.Pdeathsig = syscall.SIGTERM
	started, ended := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // the kernel ends the child with the thread that made it
		defer runtime.UnlockOSThread()
		err := command.Start()
		started <- err
		if err == nil {
			_ = command.Wait() // ended by a signal
		}
	}()
	if err := <-started; err != nil {
		t.Fatalf("starting %s: %v", command.Path, err)
	}
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(stopTime):
			_ = command.Process.Kill()
			<-ended
		}
		if t.Failed() {
			t.Logf("%s wrote:\n%s", command.Path, log())
		}
	})
	return ended
}

// php is an application in PHP.
type php struct {
	root    string            // folder of its files
	index   string            // file that answers for a folder
	rewrite string            // what answers for a path that is no file; "": nothing
	aliases map[string]string // folders at other places, by their path on the website
	define  map[string]string // constants that are defined before each script
	workers int               // requests at the same time
}

// servePHP runs PHP-FPM behind nginx, as Debian sets both up, and returns the address of nginx.
func (m *machine) servePHP(app php) string {
	m.t.Helper()
	prepend := "<?php\n"
	for _, name := range slices.Sorted(maps.Keys(app.define)) {
		prepend += fmt.Sprintf("define('%s', '%s');\n", name, app.define[name])
	}
	m.write("prepend.php", prepend)
	m.mkdir("sessions", "tmp")
	m.write("php.ini", fmt.Sprintf(`
upload_max_filesize = 64M
post_max_size = 72M
memory_limit = 256M
display_errors = off
log_errors = on
session.save_path = %s
sys_temp_dir = %s
upload_tmp_dir = %[2]s
auto_prepend_file = %s
`, m.path("sessions"), m.path("tmp"), m.path("prepend.php")))
	m.write("fpm.conf", fmt.Sprintf(`
[global]
daemonize = no
error_log = /proc/self/fd/2
[www]
listen = %s
pm = static
pm.max_children = %d
catch_workers_output = yes
decorate_workers_output = no
`, m.path("php.sock"), app.workers))
	programs, _ := filepath.Glob("/usr/sbin/php-fpm[0-9]*")
	m.serve("unix", m.path("php.sock"), programs[len(programs)-1], "-y", m.path("fpm.conf"), "-c", m.path("php.ini"))

	address := relyingpartytest.FreeAddress(m.t)
	rewrite := "=404"
	if app.rewrite != "" {
		rewrite = app.rewrite
	}
	places := ""
	for _, path := range slices.Sorted(maps.Keys(app.aliases)) {
		places += fmt.Sprintf("location %s { alias %s; }\n", path, app.aliases[path])
	}
	m.write("nginx.conf", fmt.Sprintf(`
daemon off;
worker_processes 1;
pid %[1]s/nginx.pid;
error_log stderr;
events {}
http {
	include /etc/nginx/mime.types;
	log_format person '$request_method $request_uri "$http_remote_user" "$http_remote_groups"';
	access_log %[1]s/access.log person;
	client_max_body_size 72m;
	client_body_temp_path %[1]s/tmp/body;
	fastcgi_temp_path %[1]s/tmp/fastcgi;
	proxy_temp_path %[1]s/tmp/proxy;
	uwsgi_temp_path %[1]s/tmp/uwsgi;
	scgi_temp_path %[1]s/tmp/scgi;
	server {
		listen %[2]s;
		root %[3]s;
		index %[4]s;
		%[5]s
		location = /lib/exe/taskrunner.php { return 204; } # DokuWiki's: it writes the caches of a page while others read them
		location / { try_files $uri $uri/ %[6]s; }
		location ~ ^(.+\.php)(/.*)?$ {
			fastcgi_split_path_info ^(.+\.php)(/.*)?$;
			include /etc/nginx/fastcgi_params;
			fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
			fastcgi_param PATH_INFO $fastcgi_path_info;
			fastcgi_read_timeout 300;
			fastcgi_pass unix:%[1]s/php.sock;
		}
	}
}
`, m.folder, address, app.root, app.index, places, rewrite))
	m.serve("tcp", address, "/usr/sbin/nginx", "-e", "stderr", "-c", m.path("nginx.conf"))
	return address
}
