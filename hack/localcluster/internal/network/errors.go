package network

import "syscall"

// Errors of the kernel that mean there is nothing to do.
const (
	errExist    = syscall.EEXIST
	errNoDevice = syscall.ENODEV
)
