//go:build unix && !linux

package ldaptest

import "syscall"

func dieWithParent() *syscall.SysProcAttr { return nil }
