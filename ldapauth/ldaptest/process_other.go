//go:build unix && !linux

package ldaptest

import "syscall"

func dieWithParent() *syscall.SysProcAttr { return nil }

func leaveNetwork() error {
	return &missing{"a process has no network of its own on this system", "run the test on Linux"}
}
