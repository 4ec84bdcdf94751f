//go:build !linux

package postgres

import "syscall"

// limitUnreceived leaves the time to the kernel where it offers no choice.
func limitUnreceived(string, string, syscall.RawConn) error { return nil }
