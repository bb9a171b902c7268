//go:build unix

package ldaptest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/go-ldap/ldap/v3"
)

const (
	startTime = 60 * time.Second // from launch to the first answer
	stopTime  = 10 * time.Second // from SIGTERM to SIGKILL
	pollTime  = 10 * time.Millisecond
)

// process is one run of a program. Its output goes to the file log.
type process struct {
	cmd    *exec.Cmd
	log    string
	done   chan struct{} // closed when the process has ended
	err    error         // how it ended, once done is closed
	inside chan func()   // what runs on the thread that started the process

	forwards sync.WaitGroup // what carries connections to the process

	mu     sync.Mutex
	frozen bool
}

// startProcess runs a program, an isolated one in a network of its own that has
// nothing but a loopback interface.
func startProcess(dir string, isolated bool, program string, args ...string) (*process, error) {
	p := &process{
		cmd: exec.Command(program, args...), //nolint:gosec // a program we looked up
		log: filepath.Join(dir, "log"), done: make(chan struct{}), inside: make(chan func()),
	}
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening a server's log: %w", err)
	}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, out, out
	p.cmd.Env = append(os.Environ(), "TDB_NO_FSYNC=1") // of Samba: what is lost with the machine may be
	p.cmd.SysProcAttr = dieWithParent()
	started := make(chan error)
	go func() {
		// The kernel ties the child to the thread that made it, so the thread
		// stays ours for as long as the child lives. One that has left the
		// machine's network is of no use to others: it ends with this goroutine.
		runtime.LockOSThread()
		defer out.Close()
		if isolated {
			err = leaveNetwork()
		} else {
			defer runtime.UnlockOSThread()
		}
		if err == nil {
			err = p.cmd.Start()
		}
		started <- err
		if err != nil {
			return
		}
		go func() {
			p.err = p.cmd.Wait()
			close(p.done)
		}()
		for {
			select {
			case f := <-p.inside:
				f()
			case <-p.done:
				return
			}
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting %s: %w", program, err)
	}
	return p, nil
}

// runToEnd runs a program that must succeed.
func runToEnd(dir, program string, args ...string) error {
	p, err := startProcess(dir, false, program, args...)
	if err != nil {
		return err
	}
	<-p.done
	if p.err != nil {
		return p.failed(p.err)
	}
	return nil
}

// failed is an error with what the program wrote.
func (p *process) failed(err error) error {
	text, _ := os.ReadFile(p.log)
	return fmt.Errorf("%s: %w: %s", p.cmd.Path, err, text)
}

// waitReady waits until the server answers LDAP on a port with anything at all.
func (p *process) waitReady(port int) error {
	deadline := time.NewTimer(startTime)
	defer deadline.Stop()
	poll := time.NewTicker(pollTime)
	defer poll.Stop()
	for {
		if answers("127.0.0.1:" + strconv.Itoa(port)) {
			return nil
		}
		select {
		case <-p.done:
			return p.failed(fmt.Errorf("ended at once: %w", p.err))
		case <-deadline.C:
			return p.failed(fmt.Errorf("no answer within %v", startTime))
		case <-poll.C:
		}
	}
}

func answers(address string) bool {
	raw, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return false
	}
	conn := ldap.NewConn(raw, false)
	conn.Start()
	defer conn.Close()
	conn.SetTimeout(time.Second)
	_, err = conn.Search(&ldap.SearchRequest{Scope: ldap.ScopeBaseObject, Filter: "(objectClass=*)", Attributes: []string{"1.1"}})
	var refusal *ldap.Error // an answer, too, unless it is the library's own
	return err == nil || errors.As(err, &refusal) && refusal.ResultCode < ldap.ErrorNetwork
}

// freeze returns when every thread has stopped, which is some time after the
// signal was sent.
func (p *process) freeze() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.frozen {
		return nil // the kernel tells of a stop only once
	}
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	for {
		_, err := syscall.Wait4(p.cmd.Process.Pid, nil, syscall.WUNTRACED, nil)
		if err != syscall.EINTR { // a system call's own error
			p.frozen = err == nil
			return err
		}
	}
}

func (p *process) thaw() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = false
	return p.cmd.Process.Signal(syscall.SIGCONT)
}

func (p *process) stop() {
	_ = p.thaw() // a frozen process would not hear SIGTERM
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	patience := time.NewTimer(stopTime)
	defer patience.Stop()
	select {
	case <-p.done:
	case <-patience.C:
		_ = p.cmd.Process.Kill()
		<-p.done
	}
	p.forwards.Wait()
}
