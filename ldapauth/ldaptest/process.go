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
	"sync"
	"syscall"
	"time"

	"github.com/go-ldap/ldap/v3"
)

const (
	startTime = 20 * time.Second // from launch to the first answer
	stopTime  = 10 * time.Second // from SIGTERM to SIGKILL
	pollTime  = 10 * time.Millisecond
)

// process is one run of slapd. Its output goes to the file log.
type process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when the process has ended

	mu     sync.Mutex
	frozen bool
}

func startProcess(dir, program string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(program, args...), log: filepath.Join(dir, "log"), done: make(chan struct{})} //nolint:gosec // a program we looked up
	out, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening slapd's log: %w", err)
	}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, out, out
	p.cmd.SysProcAttr = dieWithParent()
	started := make(chan error)
	go func() {
		// The kernel ties the child to the thread that made it, so the thread
		// stays ours for as long as the child lives.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer out.Close()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("starting slapd: %w", err)
	}
	return p, nil
}

// waitReady waits until the server answers LDAP with anything at all.
func (p *process) waitReady(address string) error {
	deadline := time.NewTimer(startTime)
	defer deadline.Stop()
	poll := time.NewTicker(pollTime)
	defer poll.Stop()
	for {
		if answers(address) {
			return nil
		}
		select {
		case <-p.done:
			text, _ := os.ReadFile(p.log)
			return fmt.Errorf("slapd ended at once: %s", text)
		case <-deadline.C:
			return errors.New("slapd does not answer")
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
	return !ldap.IsErrorWithCode(err, ldap.ErrorNetwork) // a refusal is an answer too
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
}
